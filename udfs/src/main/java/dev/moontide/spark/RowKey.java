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
package dev.moontide.spark;

import dev.moontide.api.TokenIds;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.catalyst.expressions.XXH64;
import org.apache.spark.unsafe.Platform;

/**
 * The key of a row's random numbers: a hash of its id, or else of its prompt, so that a sample
 * depends on the row alone. An id counts as its text, so 7 read from Parquet and "7" read from CSV
 * are the same row.
 */
final class RowKey {
  private static final long SEED = 0;

  private RowKey() {}

  static long of(String id) {
    byte[] bytes = id.getBytes(StandardCharsets.UTF_8);
    return XXH64.hashUnsafeBytes(bytes, Platform.BYTE_ARRAY_OFFSET, bytes.length, SEED);
  }

  static long of(TokenIds prompt) {
    int[] ids = prompt.toArray();
    return XXH64.hashUnsafeBytes(ids, Platform.INT_ARRAY_OFFSET, ids.length * Integer.BYTES, SEED);
  }
}
