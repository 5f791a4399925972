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

import static org.bytedeco.dnnl.global.dnnl.dnnl_bf16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_cpu;
import static org.bytedeco.dnnl.global.dnnl.dnnl_engine_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_engine_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_f32;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_create_with_strides;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_create_with_tag;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_query;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_impl_info_str;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_default_flags;
import static org.bytedeco.dnnl.global.dnnl.dnnl_success;

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.DType;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** oneDNN's engine for this CPU, and its C calls with their status checked. */
final class Dnnl implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Dnnl.class);

  private final dnnl_engine engine;

  /** Loads the native library where this process has not yet. */
  Dnnl() {
    engine = new dnnl_engine();
    try {
      check(dnnl_engine_create(engine, dnnl_cpu, 0), "engine");
    } catch (LinkageError e) {
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "backend cpu cannot run here: oneDNN's native library does not load on "
              + "%s %s (%s); it needs Linux on x86-64 and the dnnl-linux-x86_64 jar"
                  .formatted(
                      System.getProperty("os.name"), System.getProperty("os.arch"), e.getMessage()),
          e);
    }
    OpenMp.warnOnce(LOG);
  }

  dnnl_engine engine() {
    return engine;
  }

  dnnl_stream stream() {
    dnnl_stream stream = new dnnl_stream();
    check(dnnl_stream_create(stream, engine, dnnl_stream_default_flags), "stream");
    return stream;
  }

  /** A row-major matrix whose rows are {@code stride} elements apart. */
  static dnnl_memory_desc rowMajor(DType type, long rows, long columns, long stride) {
    return strided(type, rows, columns, stride, 1);
  }

  /** A matrix with {@code rowStride} elements from row to row, {@code columnStride} across. */
  static dnnl_memory_desc strided(
      DType type, long rows, long columns, long rowStride, long columnStride) {
    dnnl_memory_desc description = new dnnl_memory_desc();
    check(
        dnnl_memory_desc_create_with_strides(
            description,
            2,
            new long[] {rows, columns},
            code(type),
            new long[] {rowStride, columnStride}),
        "memory description");
    return description;
  }

  /** A matrix in the layout oneDNN calls {@code tag}. */
  static dnnl_memory_desc tagged(DType type, long rows, long columns, int tag) {
    dnnl_memory_desc description = new dnnl_memory_desc();
    check(
        dnnl_memory_desc_create_with_tag(
            description, 2, new long[] {rows, columns}, code(type), tag),
        "memory description");
    return description;
  }

  /** A memory object over memory owned elsewhere. */
  dnnl_memory memory(dnnl_memory_desc description, long address) {
    dnnl_memory memory = new dnnl_memory();
    check(dnnl_memory_create(memory, description, engine, new Address().set(address)), "memory");
    return memory;
  }

  /** The name of the implementation oneDNN chose: {@code "brg_matmul:avx512_core_bf16"}. */
  static String implementation(dnnl_primitive_desc description) {
    try (PointerPointer<BytePointer> name = new PointerPointer<>(1)) {
      check(
          dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, name),
          "name of the implementation");
      return name.get(BytePointer.class, 0).getString();
    }
  }

  /** Whether an implementation of that name multiplies by AMX, in tiles. */
  static boolean isTiled(String implementation) {
    return implementation.contains("amx");
  }

  private static int code(DType type) {
    return switch (type) {
      case BF16 -> dnnl_bf16;
      case F32 -> dnnl_f32;
    };
  }

  static void check(int status, String what) {
    if (status != dnnl_success) {
      throw MoontideException.engine("oneDNN: %s failed with status %d", what, status);
    }
  }

  @Override
  public void close() {
    dnnl_engine_destroy(engine);
  }
}
