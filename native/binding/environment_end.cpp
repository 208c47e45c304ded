#include "binding/environment_end.h"

#include <dlfcn.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace hdpo {

namespace {

struct Registration {
  StopFunction stop;
  void* argument;
};

// What is registered on one JS thread. exit() destroys the thread_local objects of the thread that calls it
// before every static object of every library, however late that was made, so it is here that threads are
// stopped. (A function given to atexit() would come too late for what a library makes on its first use.) On the
// thread of a worker nothing is left by then: the hooks of its environments have run.
struct Registrations {
  std::vector<std::unique_ptr<Registration>> all;
  ~Registrations() {
    while (!all.empty()) {
      const std::unique_ptr<Registration> last = std::move(all.back());
      all.pop_back();
      last->stop(last->argument);
    }
  }
};

thread_local Registrations registrations;

void onEnvironmentEnd(void* given) {
  auto& all = registrations.all;
  const auto found =
      std::find_if(all.begin(), all.end(), [given](const auto& r) { return r.get() == given; });
  if (found == all.end()) return;
  const std::unique_ptr<Registration> ended = std::move(*found);
  all.erase(found);
  ended->stop(ended->argument);
}

}  // namespace

void stayLoaded() {
  Dl_info self{};
  if (::dladdr(reinterpret_cast<const void*>(&stayLoaded), &self) == 0 || self.dli_fname == nullptr) return;
  // The handle is never closed. Where there is none the addon is part of the program itself, and stays anyway.
  static_cast<void>(::dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE));
}

void stopAtEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument) {
  registrations.all.push_back(std::make_unique<Registration>(Registration{stop, argument}));
  napi_add_env_cleanup_hook(env, &onEnvironmentEnd, registrations.all.back().get());
}

void forgetEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument) {
  auto& all = registrations.all;
  const auto found = std::find_if(all.begin(), all.end(), [stop, argument](const auto& r) {
    return r->stop == stop && r->argument == argument;
  });
  if (found == all.end()) return;
  napi_remove_env_cleanup_hook(env, &onEnvironmentEnd, found->get());
  all.erase(found);
}

}  // namespace hdpo
