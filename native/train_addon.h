// The training functions of the addon.
#pragma once
#include <node_api.h>

void addTrainFunctions(napi_env env, napi_value exports);
