// A button that is a sign; its name is for readers of the screen and, as a title, for the mouse.

import type { ComponentProps } from "react"
import { Icon } from "./icon.tsx"
import type { IconName } from "./icon.tsx"

interface IconButtonProps extends ComponentProps<"button"> {
  icon: IconName
  name: string
}

export function IconButton({ icon, name, className = "", ...rest }: IconButtonProps) {
  return (
    <button type="button" className={`icon-button ${className}`} aria-label={name} title={name} {...rest}>
      <Icon name={icon} />
    </button>
  )
}
