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
# Packs all that a machine with an NVIDIA GPU and nothing else needs to check and time the CUDA backend:
# a Java runtime, the classes and their tests, the kernels, the small models. ./mvnw package goes first.
#
# pack.sh FILE.tar.xz; there: tar xf FILE.tar.xz && h200/run.sh RESULTS
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
file=$(realpath -m "$1")
engine=$root/gpu-engine/target
[[ -s $engine/classes/dev/moontide/cuda/kernels/kernels.list ]] || {
  echo "pack.sh: no kernels in $engine/classes: run ./mvnw package where nvcc is" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/h200
mkdir -p "$bundle/lib" "$bundle/src/test/gpu-engine/resources/models"

"$root/mvnw" -q -f "$root/pom.xml" -pl gpu-engine dependency:build-classpath -Dmdep.outputFile="$work/class-path" \
  -Dmdep.includeScope=test -DskipChecks -DskipCuda
IFS=: read -ra jars <<<"$(<"$work/class-path")"
for jar in "${jars[@]}"; do
  case $(basename "$jar") in
    dnnl-*-linux-* | javacpp-*-linux-* | opencl-* | archunit-* | javassist-* | log4j-*) ;;
    jcuda-natives-*)
      # The driver API's library alone.
      (cd "$work" && rm -rf natives && mkdir natives && cd natives &&
        "${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}"/bin/jar xf "$jar" &&
        rm -f lib/libJNvPTXCompiler* lib/libJCudaRuntime* lib/libJNvrtc* && cp -r . "$bundle/natives")
      ;;
    *) cp "$jar" "$bundle/lib/" ;;
  esac
done
cp -r "$engine/classes" "$engine/test-classes" "$bundle/"
rm -rf "$bundle/test-classes/models"
cp -r "$root"/src/test/gpu-engine/resources/models/* "$bundle/src/test/gpu-engine/resources/models/"
cp "$root/benchmarks/h200/run.sh" "$bundle/"
git -C "$root" rev-parse HEAD >"$bundle/commit"
java --add-modules=jdk.incubator.vector -cp "$engine/classes:$engine/test-classes:$(<"$work/class-path")" \
  dev.moontide.device.DeviceLabels encode "$root/examples" "$bundle/labels.json"
jlink --add-modules java.base,java.logging,java.management,java.xml,jdk.unsupported,jdk.management,jdk.incubator.vector \
  --strip-debug --no-header-files --no-man-pages --compress=0 --output "$bundle/java"
tar -C "$work" -cf - h200 | xz -T2 -1 >"$file"
echo "$file: $(stat -c %s "$file") bytes"
