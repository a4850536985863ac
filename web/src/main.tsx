// The page's beginning.

import { createRoot } from "react-dom/client"
import { App } from "./app.tsx"
import "./style/base.css"
import "./style/layout.css"
import "./style/thread.css"
import "./style/markdown.css"
import "./style/panels.css"

const place = document.getElementById("page")
if (place) createRoot(place).render(<App />)
