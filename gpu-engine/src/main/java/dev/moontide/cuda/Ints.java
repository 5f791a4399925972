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
package dev.moontide.cuda;

import java.util.Arrays;

/** A growing array of ints. */
final class Ints {
  private int[] values = new int[64];
  private int size;

  int[] values() {
    return values;
  }

  int size() {
    return size;
  }

  void clear() {
    size = 0;
  }

  /** Makes it {@code count} long, what is new being arbitrary. */
  void resize(int count) {
    if (count > values.length) {
      values = Arrays.copyOf(values, 2 * count);
    }
    size = count;
  }

  void set(int at, int value) {
    values[at] = value;
  }

  int get(int at) {
    return values[at];
  }

  void add(int value) {
    resize(size + 1);
    values[size - 1] = value;
  }

  /** Appends all of {@code more}; where they begin. */
  int addAll(Ints more) {
    int at = size;
    resize(size + more.size);
    System.arraycopy(more.values, 0, values, at, more.size);
    return at;
  }
}
