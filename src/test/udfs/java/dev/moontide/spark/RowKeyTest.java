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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.moontide.api.TokenIds;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class RowKeyTest {
  /** Published test vectors of XXH64 with seed 0: a key, once used, must never change. */
  @Test
  void keysAreXxh64OfTheText() {
    assertEquals(0xEF46DB3751D8E999L, RowKey.of(""));
    assertEquals(0xD24EC4F1A98C6E5BL, RowKey.of("a"));
    assertEquals(0x44BC2CF5AD770999L, RowKey.of("abc"));
  }

  @Test
  void everyTokenCounts() {
    Set<Long> keys = new HashSet<>();
    for (int i = 0; i < 100; i++) {
      keys.add(RowKey.of(TokenIds.of(i)));
      keys.add(RowKey.of(TokenIds.of(1, i)));
      keys.add(RowKey.of(TokenIds.of(i, 1, 1)));
    }
    assertEquals(300, keys.size());
    assertNotEquals(RowKey.of(TokenIds.of()), RowKey.of(TokenIds.of(0)));
  }
}
