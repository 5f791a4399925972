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
# Packs the job itself for a machine with an NVIDIA GPU and nothing else: a Java runtime, Spark, the packaged jar and
# the demonstration. ./moontide or ./mvnw package goes first, where nvcc is.
#
# pack-job.sh FILE.tar.xz; there: tar xf FILE.tar.xz && job/run-job.sh RESULTS, or beside what pack.sh packed, whose
# run.sh then runs it too
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
file=$(realpath -m "$1")
target=$root/spark-job/target
jar=$(find "$target" -maxdepth 1 -name 'moontide-*.jar' | head -1)
[[ -s $target/spark-class-path && -n $jar ]] || {
  echo "pack-job.sh: no jar in $target: run ./mvnw package" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
job=$work/job
mkdir -p "$job/spark-job/target/lib" "$job"/{gpu-engine,udfs,spark-job}/src/main

# Uncompressed jars, so that xz sees the classes. Left out are two with libraries for many systems: RocksDB, which only
# keeps a streaming query's state, and TLS.
IFS=: read -ra jars <<<"$(<"$target/spark-class-path")"
for entry in "$jar" "${jars[@]}"; do
  case $(basename "$entry") in
    rocksdbjni-* | netty-tcnative-*) ;;
    *) python3 - "$entry" "$job/spark-job/target/lib/$(basename "$entry")" <<'PYTHON' ;;
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as source, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_STORED) as target:
    for name in dict.fromkeys(source.namelist()):
        target.writestr(name, source.read(name))
PYTHON
  esac
done
mv "$job/spark-job/target/lib/$(basename "$jar")" "$job/spark-job/target/"
touch "$job"/{gpu-engine,udfs,spark-job}/pom.xml
cp -r "$root/moontide" "$root/examples" "$root/conf" "$root/pom.xml" "$root"/benchmarks/h200/run-{job,cluster}.sh "$job/"
git -C "$root" rev-parse HEAD >"$job/commit"
jlink --add-modules java.se,jdk.unsupported,jdk.management,jdk.security.auth,jdk.crypto.ec,jdk.zipfs,jdk.incubator.vector \
  --strip-debug --no-header-files --no-man-pages --compress=0 --output "$job/java"
tar -C "$work" -cf - job | xz -T2 -3 >"$file"
echo "$file: $(stat -c %s "$file") bytes"
