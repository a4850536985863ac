{
  # One library per instruction set, each with its own flags, and the addon over them.
  "target_defaults": {
    "cflags_cc": ["-std=c++20", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-rtti", "-fvisibility=hidden", "-Wall", "-Wextra"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": ["-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
    },
    "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/std:c++20", "/fp:precise"], "Optimization": 2}}
  },
  "targets": [
    {"target_name": "isa_scalar", "type": "static_library", "sources": ["native/isa_scalar.cc", "native/train_scalar.cc"]},
    {
      "target_name": "a3b",
      "sources": ["native/addon.cc", "native/engine.cc", "native/reserve.cc", "native/roofs.cc", "native/prefill.cc", "native/dispatch.cc", "native/train_addon.cc", "native/train.cc"],
      "dependencies": ["isa_scalar"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["isa_avx2", "isa_avx512", "isa_avx512bf16", "isa_amx"]}],
        ["target_arch=='arm64'", {"dependencies": ["isa_neon"]}]
      ]
    }
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "isa_avx2",
          "type": "static_library",
          "sources": ["native/isa_avx2.cc", "native/train_avx2.cc"],
          "cflags_cc": ["-mavx2", "-mfma", "-mf16c"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx2", "-mfma", "-mf16c"]},
          "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/arch:AVX2"]}}
        },
        {
          "target_name": "isa_avx512",
          "type": "static_library",
          "sources": ["native/isa_avx512.cc", "native/train_avx512.cc"],
          # GCC 12's own AVX-512 headers trip its uninitialised-value warnings.
          "cflags_cc": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c",
                        "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c"]},
          "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/arch:AVX512"]}}
        },
        {
          "target_name": "isa_amx",
          "type": "static_library",
          "sources": ["native/isa_amx.cc", "native/train_amx.cc"],
          "cflags_cc": ["-mamx-tile", "-mamx-int8", "-mamx-bf16", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni",
                        "-mavx512bf16", "-mavx512vbmi", "-mavx2", "-mfma", "-mf16c",
                        "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mamx-tile", "-mamx-int8", "-mamx-bf16", "-mavx512bf16", "-mavx512vbmi", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c"]},
          "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/arch:AVX512"]}}
        },
        {
          "target_name": "isa_avx512bf16",
          "type": "static_library",
          "sources": ["native/train_avx512bf16.cc"],
          "cflags_cc": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx512bf16", "-mavx2", "-mfma", "-mf16c",
                        "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx512bf16", "-mfma", "-mf16c"]},
          "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/arch:AVX512"]}}
        }
      ]
    }],
    ["target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "isa_neon",
          "type": "static_library",
          "sources": ["native/isa_neon.cc", "native/train_neon.cc"],
          "cflags_cc": ["-march=armv8.2-a+dotprod"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-march=armv8.2-a+dotprod"]}
        }
      ]
    }]
  ]
}
