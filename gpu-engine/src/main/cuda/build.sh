#!/usr/bin/env bash
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.
#
# Compiles the CUDA kernels: one fatbin for each source, with machine code for every target and PTX for
# devices to come, and a list of them. Without nvcc it says so and leaves none; the backend then says it
# when it is asked for. Only what changed is compiled.
#
# build.sh OUTPUT WORK: folders of the result, which holds nothing else, and of what is kept between runs.
#
# A kernel that spills, uses local memory or more registers than its budget, or whose wgmma the
# compiler serialises or waits for (which it reports only as information) fails the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=$1
work=$2
mkdir -p "$out" "$work"

targets=(80 86 89 90a 100a)
# Sources in a folder named after an architecture's generation are for that target alone.
hopper_targets=(90a)
max_registers=168
# Warpgroups, or warps with large tiles, that are alone on a multiprocessor (__launch_bounds__(threads, 1)).
tensor_max_registers=255

find_nvcc() {
  local candidate
  for candidate in "$(command -v nvcc || true)" "${CUDA_HOME:-/nowhere}/bin/nvcc" /usr/local/cuda/bin/nvcc; do
    if [[ -n $candidate && -x $candidate ]]; then
      echo "$candidate"
      return
    fi
  done
}

nvcc=$(find_nvcc)
if [[ -z $nvcc ]]; then
  rm -f "$out"/*.fatbin "$out"/kernels.list
  echo "no nvcc on the PATH, in CUDA_HOME or /usr/local/cuda: this build has no CUDA kernels"
  exit 0
fi

# The image of a source: hopper/mla.cu becomes hopper-mla.fatbin.
image_of() { echo "${1%.cu}.fatbin" | tr / -; }

needs_build() {
  local image=$1 source=$2
  [[ -e $image && ! $source -nt $image && ! build.sh -nt $image ]] || return 0
  local header
  for header in *.cuh hopper/*.cuh mma/*.cuh; do
    if [[ -e $header && $header -nt $image ]]; then return 0; fi
  done
  return 1
}

# Lines of the compiler's report that no kernel may cause.
gate() {
  local report=$1 allowed=$2
  if grep -E 'C75(08|11|14|17|19)|[1-9][0-9]* bytes (stack frame|spill|cumulative)|Local memory used|spilled' "$report"; then
    echo "$report: a kernel spills, uses local memory or has its wgmma serialised" >&2
    return 1
  fi
  local registers
  while read -r registers; do
    if ((registers > allowed)); then
      echo "$report: a kernel uses $registers registers, allowed are $allowed" >&2
      return 1
    fi
  done < <(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$report")
}

compile() {
  local source=$1
  local image=$work/$(image_of "$source")
  local report=$image.report
  local flags=()
  local target
  local allowed=$max_registers
  if [[ $source == hopper/* ]]; then
    allowed=$tensor_max_registers
    for target in "${hopper_targets[@]}"; do
      flags+=(-gencode="arch=compute_$target,code=sm_$target")
    done
  else
    if [[ $source == mma/* ]]; then allowed=$tensor_max_registers; fi
    for target in "${targets[@]}"; do
      flags+=(-gencode="arch=compute_$target,code=sm_$target")
    done
    flags+=(-gencode=arch=compute_80,code=compute_80)
  fi
  if ! "$nvcc" -std=c++17 -O3 -fatbin "${flags[@]}" -I. -Werror all-warnings \
    -Xptxas -v,--warn-on-spills,--warn-on-local-memory-usage -o "$image.new" "$source" >"$report" 2>&1; then
    cat "$report" >&2
    return 1
  fi
  gate "$report" "$allowed"
  mv "$image.new" "$image"
}

shopt -s nullglob
sources=(*.cu hopper/*.cu mma/*.cu)
changed=()
for source in "${sources[@]}"; do
  if needs_build "$work/$(image_of "$source")" "$source"; then changed+=("$source"); fi
done
if ((${#changed[@]} > 0)); then
  echo "compiling ${#changed[@]} CUDA sources with $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/nvcc \1/p')"
  pids=()
  running=0
  failed=0
  for source in "${changed[@]}"; do
    compile "$source" &
    pids+=($!)
    running=$((running + 1))
    if ((running == $(nproc))); then
      wait "${pids[0]}" || failed=1
      pids=("${pids[@]:1}")
      running=$((running - 1))
    fi
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  ((failed == 0)) || exit 1
fi
rm -f "$out"/*.fatbin
for source in "${sources[@]}"; do
  cp "$work/$(image_of "$source")" "$out/"
  image_of "$source"
done >"$out/kernels.list"
