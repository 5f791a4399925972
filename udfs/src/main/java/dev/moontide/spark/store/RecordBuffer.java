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

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;

/** Records for a block, one after another. For one thread at a time. */
final class RecordBuffer extends ByteArrayOutputStream {
  private final DataOutputStream out = new DataOutputStream(this);
  private int records;

  void add(RequestKey key, StoredResult result) {
    int start = count;
    try {
      out.writeInt(0);
      out.writeLong(key.high());
      out.writeLong(key.low());
      result.write(out);
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    ByteBuffer.wrap(buf).putInt(start, count - start - Integer.BYTES);
    records++;
  }

  int records() {
    return records;
  }

  /** The records: a view, valid until the next call. */
  ByteBuffer block() {
    return ByteBuffer.wrap(buf, 0, count).slice();
  }

  void clear() {
    reset();
    records = 0;
  }
}
