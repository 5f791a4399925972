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
package dev.moontide.spark.store;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.moontide.api.FinishReason;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalResultsTest {
  @TempDir Path folder;

  private static StoredResult result(int length) {
    return new StoredResult(
        length,
        new Outcome.Completion(TokenIds.of(), "x".repeat(length), FinishReason.STOP, length));
  }

  private static byte[] bytes(StoredResult result) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    result.write(new DataOutputStream(bytes));
    return bytes.toByteArray();
  }

  /** Enough keys that the tables grow several times, of lengths around what is read at once. */
  @Test
  void everyResultIsFoundByItsKey() throws IOException {
    int count = 60_000;
    try (LocalResults results = new LocalResults(folder)) {
      Random random = new Random(3);
      RecordBuffer buffer = new RecordBuffer();
      for (int i = 0; i < count; i++) {
        buffer.add(new RequestKey(random.nextLong(), random.nextLong()), result(i % 700));
        if (buffer.records() == 500) {
          results.add(buffer.block());
          buffer.clear();
        }
      }
      Random again = new Random(3);
      for (int i = 0; i < count; i++) {
        RequestKey key = new RequestKey(again.nextLong(), again.nextLong());
        byte @Nullable [] found = results.find(key);
        assertNotNull(found, "result " + i);
        assertArrayEquals(bytes(result(i % 700)), found, "result " + i);
        assertNull(results.find(new RequestKey(key.high(), key.low() + 1)));
        assertNull(results.find(new RequestKey(key.high() ^ 1, key.low())));
      }
    }
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(0, left.count(), "files outlive the JVM");
    }
  }

  @Test
  void whatIsThereIsNotAddedAgain() throws IOException {
    try (LocalResults results = new LocalResults(folder)) {
      RecordBuffer buffer = new RecordBuffer();
      buffer.add(new RequestKey(0, 0), result(3));
      results.add(buffer.block());
      buffer.add(new RequestKey(1, 0), result(4));
      results.add(buffer.block());
      results.add(buffer.block());
      assertArrayEquals(bytes(result(3)), results.find(new RequestKey(0, 0)));
      assertArrayEquals(bytes(result(4)), results.find(new RequestKey(1, 0)));
      int records = bytes(result(3)).length + bytes(result(4)).length;
      assertEquals(2 * Segment.RECORD_HEADER_BYTES + records, results.bytes());
    }
  }
}
