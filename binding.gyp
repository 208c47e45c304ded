# The addon alone, for an install from source (npx hdpo build). CMakeLists.txt is the full build, from the same lists.
{
  'variables': {
    # Instruction set of the CPU kernels, as g++ -march takes it: node-gyp configure -- -Dhdpo_arch=x86-64-v3
    'hdpo_arch%': 'native',
  },
  'targets': [
    {
      'target_name': 'hdpo',
      'sources': [
        '<!@(node scripts/united-sources.mjs native/sources.txt native/no_cuda/sources.txt native/binding/sources.txt)',
      ],
      'include_dirs': ['native', '<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['HDPO_INSTRUCTION_SET="<(hdpo_arch)"'],
      'cflags!': ['-fno-omit-frame-pointer'],
      # Node's own defaults: an older standard, no exceptions, no run-time types.
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-exceptions', '-fno-rtti'],
      'cflags_cc': ['-std=c++20', '-O3', '-DNDEBUG', '-Wno-restrict', '<!@(cat native/compile-flags.txt)', '-march=<(hdpo_arch)'],
      'ldflags': ['-fopenmp'],
      'libraries': ['-ldnnl'],
    },
  ],
}
