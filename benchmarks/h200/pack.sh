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
# Packs all that a machine with an NVIDIA GPU and nothing else needs to check and time the CUDA backend, and to run the
# demonstration through Spark: a Java runtime, the packaged jar, Spark's jars, the tests, the kernels' own checks, models
# and examples. ./moontide or ./mvnw package goes first, where nvcc is.
#
# pack.sh FOLDER; there: FOLDER/run.sh RESULTS
# The folder has run.sh and the rest in parts of at most 38 MB, which run.sh unpacks beside itself.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(realpath -m "$1")
engine=$root/gpu-engine
job=$root/spark-job/target
jar=$(find "$job" -maxdepth 1 -name 'moontide-*.jar' | head -1)
[[ -s $job/spark-class-path && -n $jar && -d $engine/target/test-classes ]] || {
  echo "pack.sh: no jar in $job or no tests in $engine/target: run ./mvnw package" >&2
  exit 1
}
[[ -z $(find "$engine/target/classes" "$engine/target/test-classes" -name '*.class' -newer "$jar" -print -quit) ]] || {
  echo "pack.sh: classes in $engine/target are newer than $jar: run ./mvnw package" >&2
  exit 1
}
[[ -s $engine/target/classes/dev/moontide/cuda/kernels/kernels.list ]] || {
  echo "pack.sh: no kernels in $engine/target/classes: run ./mvnw package where nvcc is" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/h200
mkdir -p "$folder" "$bundle"/{lib,kernels,spark-job/target/lib} "$bundle"/{gpu-engine,udfs,spark-job}/src/main

# Uncompressed jars, so that xz sees the classes, and of native libraries those for x86-64 alone. Left out are RocksDB,
# which only keeps a streaming query's state, and TLS.
unpacked() {
  python3 - "$1" "$2" <<'PYTHON'
import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as source, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_STORED) as target:
    for name in dict.fromkeys(source.namelist()):
        if not re.search(r"\.(so|dll|dylib|jnilib|a|sl)$", name) or re.search("amd64|x86_64|linux64", name):
            target.writestr(name, source.read(name))
PYTHON
}
unpacked "$jar" "$bundle/spark-job/target/$(basename "$jar")"
IFS=: read -ra jars <<<"$(<"$job/spark-class-path")"
for entry in "${jars[@]}"; do
  case $(basename "$entry") in
    rocksdbjni-* | netty-tcnative-*) ;;
    *) unpacked "$entry" "$bundle/spark-job/target/lib/$(basename "$entry")" ;;
  esac
done
touch "$bundle"/{gpu-engine,udfs,spark-job}/pom.xml
cp -r "$root/moontide" "$root/examples" "$root/conf" "$root/pom.xml" "$root"/benchmarks/h200/run-{job,cluster}.sh "$bundle/"

# The tests, and of what they need the libraries that the jar and Spark have not.
"$root/mvnw" -q -o -f "$root/pom.xml" -pl gpu-engine dependency:build-classpath -Dmdep.outputFile="$work/class-path" \
  -DincludeGroupIds=org.junit.jupiter,org.junit.platform,org.opentest4j,org.apiguardian -DskipChecks -DskipCuda
IFS=: read -ra jars <<<"$(<"$work/class-path")"
cp "${jars[@]}" "$bundle/lib/"
cp -r "$engine/target/test-classes" "$bundle/"
rm -rf "$bundle/test-classes/models"
mkdir -p "$bundle/src/test/gpu-engine/resources"
cp -r "$root/src/test/gpu-engine/resources/models" "$bundle/src/test/gpu-engine/resources/"

PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
for checks in kernels mma; do
  nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -I"$engine/src/main/cuda" \
    -o "$bundle/kernels/$checks" "$root/benchmarks/h200/$checks.cu" &
done
wait
git -C "$root" rev-parse HEAD >"$bundle/commit"
jlink --add-modules java.se,jdk.unsupported,jdk.management,jdk.security.auth,jdk.crypto.ec,jdk.zipfs,jdk.incubator.vector \
  --strip-debug --no-header-files --no-man-pages --compress=0 --output "$bundle/java"

rm -f "$folder"/h200.tar.xz.part-*
tar -C "$work" -cf - h200 | xz -T0 -3 | split -b 38MB --numeric-suffixes=1 -a 1 - "$folder/h200.tar.xz.part-"
cp "$root/benchmarks/h200/run.sh" "$folder/"
ls -l "$folder"
