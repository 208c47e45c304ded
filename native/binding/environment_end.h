// Threads must be joined before what they use goes away. An environment may end in two ways:
//   - by itself, with its worker thread or with the main program: Node then runs its cleanup hooks;
//   - by exit(), to which process.exit() and an uncaught exception come in the end: Node runs no hooks then, and
//     libraries free what they hold (oneDNN its generated code) while a thread may still run in it. What JS
//     could be told of that, the event 'exit', may never come: a listener may throw, or listeners be removed.
// Whatever is registered here is stopped in both cases, before any static object is destroyed.
#pragma once

#include "binding/napi.h"

namespace hdpo {

using StopFunction = void (*)(void* argument);

// To be called when the addon is loaded into an environment. Node unloads an addon with the last worker thread
// that loaded it; this one stays, because the threads of OpenMP outlive the worker.
void stayLoaded();

// stop(argument) runs on the JS thread when the environment ends; the latest registered runs first.
void stopAtEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

// Forgets a registration. Must not be called once stop has run.
void forgetEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument);

}  // namespace hdpo
