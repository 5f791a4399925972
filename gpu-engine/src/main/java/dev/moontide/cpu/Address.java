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
package dev.moontide.cpu;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.Pointer;

/** A reusable pointer to memory owned elsewhere. */
final class Address extends Pointer {
  /** Points it at {@code value}. */
  Address set(long value) {
    address = value;
    return this;
  }

  /** Positions and limits count bytes. */
  @Override
  public int sizeof() {
    return 1;
  }

  /** A buffer over {@code bytes} from {@code address} on, in the machine's byte order. */
  static ByteBuffer view(long address, long bytes) {
    Address pointer = new Address();
    pointer.address = address;
    pointer.limit = bytes;
    pointer.capacity = bytes;
    return pointer.asByteBuffer();
  }
}
