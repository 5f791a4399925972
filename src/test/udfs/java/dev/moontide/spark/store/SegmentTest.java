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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class SegmentTest {
  private static final byte[] FIRST = {1, 2, 3};
  private static final byte[] SECOND = {4, 5, 6, 7, 8};

  private static byte[] segment() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    Segment.writeStart(out);
    Segment.writeBlock(out, ByteBuffer.wrap(FIRST));
    Segment.writeBlock(out, ByteBuffer.wrap(SECOND));
    return bytes.toByteArray();
  }

  private final List<ByteBuffer> blocks = new ArrayList<>();

  private boolean read(byte[] segment) throws IOException {
    blocks.clear();
    return Segment.read(new ByteArrayInputStream(segment), blocks::add);
  }

  @Test
  void blocksComeBackInOrder() throws IOException {
    assertTrue(read(segment()));
    assertEquals(List.of(ByteBuffer.wrap(FIRST), ByteBuffer.wrap(SECOND)), blocks);
  }

  /** Whatever is cut off, what is read is a beginning of what was written. */
  @Test
  void ofATornSegmentTheWholeBlocksAreRead() throws IOException {
    byte[] whole = segment();
    List<ByteBuffer> all = List.of(ByteBuffer.wrap(FIRST), ByteBuffer.wrap(SECOND));
    int afterFirst = 8 + 8 + FIRST.length;
    for (int length = 0; length < whole.length; length++) {
      boolean atBlock = length == 8 || length == afterFirst;
      assertEquals(atBlock, read(Arrays.copyOf(whole, length)), "cut at " + length);
      assertEquals(all.subList(0, length < afterFirst ? 0 : 1), blocks, "cut at " + length);
    }
  }

  /** Whichever bit is wrong, no block is read with it. */
  @Test
  void aDamagedBlockIsNotRead() throws IOException {
    byte[] whole = segment();
    for (int bit = 0; bit < 8 * whole.length; bit++) {
      byte[] damaged = whole.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertFalse(read(damaged), "bit " + bit);
      for (ByteBuffer block : blocks) {
        assertEquals(ByteBuffer.wrap(FIRST), block, "bit " + bit);
      }
    }
  }
}
