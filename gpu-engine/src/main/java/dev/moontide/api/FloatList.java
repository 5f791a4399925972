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
package dev.moontide.api;

import java.util.Arrays;

/** An immutable list of floats; equality compares bits. */
public final class FloatList {
  private final float[] values;

  private FloatList(float[] values) {
    this.values = values;
  }

  /** Copies {@code values}. */
  public static FloatList of(float... values) {
    return new FloatList(values.clone());
  }

  /** Number of entries. */
  public int size() {
    return values.length;
  }

  /** The entry at {@code index}, counted from 0. */
  public float get(int index) {
    return values[index];
  }

  /** A copy as an array. */
  public float[] toArray() {
    return values.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof FloatList that && Arrays.equals(values, that.values);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return Arrays.toString(values);
  }
}
