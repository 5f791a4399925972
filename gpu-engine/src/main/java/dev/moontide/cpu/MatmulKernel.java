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

import static dev.moontide.cpu.Dnnl.check;
import static org.bytedeco.dnnl.global.dnnl.dnnl_data_type_undef;
import static org.bytedeco.dnnl.global.dnnl.dnnl_format_tag_any;
import static org.bytedeco.dnnl.global.dnnl.dnnl_matmul_primitive_desc_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_clone;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_get_size;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_append_sum;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_post_ops;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_scratchpad_mode;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_query_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_scratchpad_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_weights_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_scratchpad_mode_user;

import java.util.Arrays;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_attr;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.jspecify.annotations.Nullable;

/**
 * The oneDNN primitives of one {@link MatmulShape} of one slice: one for each number of rows a call
 * may have, all reading the same packed right factor. They are made when first asked for.
 *
 * <p>A row's bits must not depend on how many rows are computed with it, which oneDNN does not
 * promise; so every primitive is compared on random numbers, in every row position, with the one of
 * a single row, and one that differs is not used. Where AMX multiplies, that is left to products
 * over a multiple of {@link #TILE_INNER} inputs; others take calls of one row.
 */
final class MatmulKernel implements AutoCloseable {
  /** The most rows a call may have. */
  static final int MAX_ROWS = 64;

  /**
   * How often a size must have been wanted before it is prepared and checked: that takes some
   * milliseconds, as much as a few hundred calls in its place cost more.
   */
  private static final int PATIENCE = 256;

  /**
   * AMX adds up the inputs beyond a multiple of this by other kernels, which depend on the number
   * of rows. As these are few inputs, the bits seldom show it: a rule is safer than a trial.
   */
  private static final int TILE_INNER = 64;

  private enum Verdict {
    INVARIANT,
    DIFFERS
  }

  /** A primitive and what it needs to run. */
  record Prepared(
      dnnl_primitive primitive,
      dnnl_memory_desc source,
      dnnl_memory_desc weight,
      dnnl_memory_desc target,
      dnnl_memory_desc scratchpad,
      long scratchpadBytes) {}

  private final Dnnl dnnl;
  private final MatmulShape shape;
  private final int index;
  private final dnnl_primitive_attr attributes = new dnnl_primitive_attr();
  private final dnnl_memory_desc weight;
  private final long weightBytes;
  private final String implementation;
  private final @Nullable Prepared[] prepared = new @Nullable Prepared[MAX_ROWS + 1];
  private final @Nullable Verdict[] verdicts = new @Nullable Verdict[MAX_ROWS + 1];

  /** By rows, how often they were wanted; threads may lose some of each other's counts. */
  private final int[] wanted = new int[MAX_ROWS + 1];

  /**
   * @param packed the product whose right factor this one reads too, or null for one of its own
   */
  MatmulKernel(Dnnl dnnl, MatmulShape shape, int index, @Nullable MatmulKernel packed) {
    this.dnnl = dnnl;
    this.shape = shape;
    this.index = index;
    createAttributes();
    dnnl_memory_desc requested = packed == null ? requestedWeight() : packed.weight();
    dnnl_memory_desc source = source(MAX_ROWS);
    dnnl_memory_desc target = target(MAX_ROWS);
    dnnl_primitive_desc description = describe(source, requested, target);
    implementation = Dnnl.implementation(description);
    weight = new dnnl_memory_desc();
    check(
        dnnl_memory_desc_clone(
            weight, dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0)),
        "memory description");
    weightBytes = dnnl_memory_desc_get_size(weight);
    dnnl_primitive_desc_destroy(description);
    if (packed == null) {
      dnnl_memory_desc_destroy(requested);
    }
    dnnl_memory_desc_destroy(source);
    dnnl_memory_desc_destroy(target);
    if (Dnnl.isTiled(implementation) && shape.inner() % TILE_INNER != 0) {
      Arrays.fill(verdicts, Verdict.DIFFERS);
    }
    verdicts[1] = Verdict.INVARIANT;
  }

  private void createAttributes() {
    check(dnnl_primitive_attr_create(attributes), "attributes");
    check(
        dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
        "attributes");
    if (shape.accumulate()) {
      dnnl_post_ops sum = new dnnl_post_ops();
      check(dnnl_post_ops_create(sum), "post-operation");
      check(dnnl_post_ops_append_sum(sum, 1f, 0, dnnl_data_type_undef), "post-operation");
      check(dnnl_primitive_attr_set_post_ops(attributes, sum), "post-operation");
      dnnl_post_ops_destroy(sum);
    }
  }

  private dnnl_memory_desc requestedWeight() {
    int tag = shape.paged() || shape.widens() ? shape.page().tag() : dnnl_format_tag_any;
    return Dnnl.tagged(shape.weight(), shape.inner(), shape.columns(), tag);
  }

  private dnnl_memory_desc source(int rows) {
    return Dnnl.rowMajor(shape.source(), rows, shape.inner(), shape.sourceStride());
  }

  private dnnl_memory_desc target(int rows) {
    return Dnnl.rowMajor(shape.target(), rows, shape.columns(), shape.targetStride());
  }

  private dnnl_primitive_desc describe(
      dnnl_memory_desc source, dnnl_memory_desc weightDescription, dnnl_memory_desc target) {
    dnnl_primitive_desc description = new dnnl_primitive_desc();
    check(
        dnnl_matmul_primitive_desc_create(
            description, dnnl.engine(), source, weightDescription, null, target, attributes),
        "matrix product " + shape);
    return description;
  }

  MatmulShape shape() {
    return shape;
  }

  /** A number of its own among the kernels of one {@link MatmulKernels}, counted from 0. */
  int index() {
    return index;
  }

  /** oneDNN's name for how it computes the product. */
  String implementation() {
    return implementation;
  }

  /** Layout of the right factor. */
  dnnl_memory_desc weight() {
    return weight;
  }

  /** Bytes of the right factor, padding included. */
  long weightBytes() {
    return weightBytes;
  }

  /**
   * Whether calls of {@code rows} rows have been wanted often enough to be worth preparing, or are
   * of the few sizes that calls in their place are made of. Each question counts.
   */
  boolean worthPreparing(int rows) {
    return Integer.bitCount(rows) == 1 || rows % 16 == 0 || ++wanted[rows] > PATIENCE;
  }

  /** Whether calls of {@code rows} rows give each row the bits it has alone. */
  synchronized boolean invariant(int rows) {
    Verdict verdict = verdicts[rows];
    if (verdict == null) {
      verdict = new InvarianceCheck(dnnl, this).holds(rows) ? Verdict.INVARIANT : Verdict.DIFFERS;
      verdicts[rows] = verdict;
    }
    return verdict == Verdict.INVARIANT;
  }

  /** The primitive for {@code rows} rows. */
  synchronized Prepared prepare(int rows) {
    Prepared known = prepared[rows];
    if (known == null) {
      known = create(rows);
      prepared[rows] = known;
    }
    return known;
  }

  private Prepared create(int rows) {
    dnnl_memory_desc source = source(rows);
    dnnl_memory_desc target = target(rows);
    dnnl_primitive_desc description = describe(source, weight, target);
    dnnl_primitive primitive = new dnnl_primitive();
    check(dnnl_primitive_create(primitive, description), "matrix product " + shape);
    dnnl_memory_desc scratchpad = new dnnl_memory_desc();
    check(
        dnnl_memory_desc_clone(
            scratchpad, dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0)),
        "memory description");
    dnnl_primitive_desc_destroy(description);
    return new Prepared(
        primitive, source, weight, target, scratchpad, dnnl_memory_desc_get_size(scratchpad));
  }

  @Override
  public void close() {
    for (Prepared one : prepared) {
      if (one != null) {
        dnnl_primitive_destroy(one.primitive());
        dnnl_memory_desc_destroy(one.source());
        dnnl_memory_desc_destroy(one.target());
        dnnl_memory_desc_destroy(one.scratchpad());
      }
    }
    dnnl_memory_desc_destroy(weight);
    dnnl_primitive_attr_destroy(attributes);
  }
}
