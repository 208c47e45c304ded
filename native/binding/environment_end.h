// Threads must be joined before the environment that they serve goes away. Node runs cleanup hooks when a
// worker thread or the process ends by itself, but none at process.exit(): there libraries free what they
// hold (oneDNN its generated code) while a thread may still run in it. So what is registered here stops
// either way.
#pragma once

#include "binding/napi.h"

namespace hdpo {

using StopFunction = void (*)(void* argument);

// Once, when the addon is loaded into an environment.
void listenForEnvironmentEnd(Napi::Env env);

// stop(argument) runs on the JS thread when the environment ends, the latest registered first.
void stopAtEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

// Forgets a registration. Not to be called once it has run.
void forgetEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

}  // namespace hdpo
