// The one place that includes node-addon-api, so that every file of the binding sees it with the same
// settings: Node-API 8, C++ exceptions.
#pragma once

#define NAPI_VERSION 8
#ifndef NAPI_CPP_EXCEPTIONS
#define NAPI_CPP_EXCEPTIONS
#endif

// A C++ exception that a call from JS throws, such as std::bad_alloc, becomes a JS error and ends no process.
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL

// No JS error can be thrown in an environment that is being terminated.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS

#include <napi.h>
