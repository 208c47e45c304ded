// Threads must be joined before the environment that they serve goes away. Node runs cleanup hooks when a
// worker thread or the process ends by itself, but none at process.exit(), where libraries free what they
// hold (oneDNN its generated code) while a thread may still run in it. Whatever is registered here is stopped
// in both cases.
#pragma once

#include "binding/napi.h"

namespace hdpo {

using StopFunction = void (*)(void* argument);

// To be called once, when the addon is loaded into an environment.
void listenForEnvironmentEnd(Napi::Env env);

// stop(argument) runs on the JS thread when the environment ends; the latest registered runs first.
void stopAtEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

// Forgets a registration. Must not be called once stop has run.
void forgetEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

}  // namespace hdpo
