#!/usr/bin/env bash
# Installs what `make kernel-tests` needs to test other CPUs than this one: QEMU's user emulators and a C++ compiler for
# aarch64, from Debian's or Ubuntu's packages. Needs root. Where it cannot, it says so and the tests skip those CPUs aloud.
set -euo pipefail
wanted=()
command -v qemu-x86_64-static >/dev/null && command -v qemu-aarch64-static >/dev/null || wanted+=(qemu-user-static)
command -v aarch64-linux-gnu-g++ >/dev/null || wanted+=(g++-aarch64-linux-gnu)
if [[ ${#wanted[@]} -eq 0 ]]; then
  echo "cross tools: all there"
elif ! command -v apt-get >/dev/null || [[ $(id -u) -ne 0 ]]; then
  echo "cross tools: ${wanted[*]} missing, and only root can install with apt-get; emulated CPUs will be skipped"
elif apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y "${wanted[@]}" >/dev/null; then
  echo "cross tools: installed ${wanted[*]}"
else
  echo "cross tools: apt-get could not install ${wanted[*]}; emulated CPUs will be skipped"
fi
