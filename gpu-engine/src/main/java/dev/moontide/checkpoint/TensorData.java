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
package dev.moontide.checkpoint;

import java.nio.ByteBuffer;
import java.util.Objects;

/** A tensor's bytes in its mapped file. Safe for concurrent use. */
final class TensorData {
  private final StoredTensor tensor;
  private final MappedFile file;

  TensorData(StoredTensor tensor, MappedFile file) {
    this.tensor = tensor;
    this.file = file;
  }

  StoredTensor tensor() {
    return tensor;
  }

  /** The file's name, for messages. */
  String file() {
    return file.name();
  }

  /** Copies {@code count} bytes from byte {@code from} of the tensor to the start of target. */
  void copy(long from, byte[] target, int count) {
    Objects.checkFromIndexSize(from, count, tensor.bytes());
    file.copy(tensor.position() + from, target, count);
  }

  /** Copies {@code count} bytes from byte {@code from} of the tensor into target. */
  void copy(long from, long count, ByteBuffer target) {
    Objects.checkFromIndexSize(from, count, tensor.bytes());
    file.copy(tensor.position() + from, count, target);
  }
}
