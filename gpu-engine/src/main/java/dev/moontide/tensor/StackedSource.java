/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
package dev.moontide.tensor;

import java.util.List;

/** Several matrices of equal width, one below the other. */
record StackedSource(String name, List<MatrixSource> parts) implements MatrixSource {
  StackedSource {
    for (MatrixSource part : parts) {
      if (part.columns() != parts.get(0).columns()) {
        throw new IllegalArgumentException(
            "%s: cannot stack %s with %d columns below %s with %d"
                .formatted(
                    name,
                    part.name(),
                    part.columns(),
                    parts.get(0).name(),
                    parts.get(0).columns()));
      }
    }
  }

  @Override
  public int rows() {
    return parts.stream().mapToInt(MatrixSource::rows).sum();
  }

  @Override
  public int columns() {
    return parts.get(0).columns();
  }

  @Override
  public void read(int first, int count, float[] out, int offset) {
    int start = 0;
    for (MatrixSource part : parts) {
      int from = Math.max(first, start);
      int to = Math.min(first + count, start + part.rows());
      if (from < to) {
        part.read(from - start, to - from, out, offset + (from - first) * columns());
      }
      start += part.rows();
    }
  }
}
