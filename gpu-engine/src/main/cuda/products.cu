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
// Products with weights every token is multiplied with. Grid (tiles of columns, tiles of rows, batch).
#include "products.cuh"

struct ProductArgs {
  const void* a;
  const float* a_scales;
  const void* w;
  const float* w_scales;
  void* out;
  int64_t a_stride;  // elements between rows
  int64_t w_stride;
  int64_t out_stride;
  int64_t a_batch;  // elements between the matrices of a batch
  int64_t w_batch;
  int64_t out_batch;
  int rows;
  int columns;
  int depth;
  int split;       // E4m3Weights
  int block_rows;  // E4m3Weights
  int group;       // Int4Weights
  int add;         // whether to add to what out holds
};

DEVICE void store(float* out, float value, int add) { *out = add ? sum(*out, value) : value; }
DEVICE void store(uint16_t* out, float value, int) { *out = to_bf16(value); }

template <int RM, class Out, class A, class W>
DEVICE void product_tile(const ProductArgs& args, const A& a, const W& w) {
  SHARED TileScratch<RM> scratch;
  Tile<RM> tile;
  int row = block_y() * 16 * RM;
  int column = block_x() * TILE_COLUMNS;
  multiply_tile<RM>(tile, scratch, a, w, row, args.rows, column, args.columns, args.depth);
  Out* out = (Out*)args.out + block_z() * args.out_batch;
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int r = row + Tile<RM>::row(i);
      int c = column + Tile<RM>::column(j);
      if (r < args.rows && c < args.columns) {
        store(out + r * args.out_stride + c, tile.sums[i][j], args.add);
      }
    }
  }
}

template <class Rows, class Element>
DEVICE Rows activations(const ProductArgs& args) {
  return Rows{(const Element*)args.a + block_z() * args.a_batch, args.a_stride};
}

template <class Rows, class Element>
DEVICE Rows weights(const ProductArgs& args) {
  return Rows{(const Element*)args.w + block_z() * args.w_batch, args.w_stride};
}

// bf16 times bf16 into float.
template <int RM>
DEVICE void product_bf16(const ProductArgs& args) {
  product_tile<RM, float>(args, activations<Bf16Rows, uint16_t>(args),
                          weights<Bf16Rows, uint16_t>(args));
}
KERNEL(product_bf16_16, ProductArgs, PRODUCT_THREADS) { product_bf16<1>(args); }
KERNEL(product_bf16_64, ProductArgs, PRODUCT_THREADS) { product_bf16<4>(args); }

// FP8 with block scales into float.
template <int RM>
DEVICE void product_fp8(const ProductArgs& args) {
  E4m3Activations a{(const uint8_t*)args.a, args.a_scales, args.depth};
  E4m3Weights w{(const uint8_t*)args.w, args.w_scales, args.depth, args.split, args.block_rows};
  product_tile<RM, float>(args, a, w);
}
KERNEL(product_fp8_16, ProductArgs, PRODUCT_THREADS) { product_fp8<1>(args); }
KERNEL(product_fp8_64, ProductArgs, PRODUCT_THREADS) { product_fp8<4>(args); }

// bf16 times INT4 into float.
template <int RM>
DEVICE void product_int4(const ProductArgs& args) {
  Int4Weights w{(const uint32_t*)args.w, args.w_scales, args.depth, args.group};
  product_tile<RM, float>(args, activations<Bf16Rows, uint16_t>(args), w);
}
KERNEL(product_int4_16, ProductArgs, PRODUCT_THREADS) { product_int4<1>(args); }
KERNEL(product_int4_64, ProductArgs, PRODUCT_THREADS) { product_int4<4>(args); }

// float times float into float: the router's gate.
KERNEL(product_float_16, ProductArgs, PRODUCT_THREADS) {
  product_tile<1, float>(args, activations<FloatRows, float>(args),
                         weights<FloatRows, float>(args));
}

// A query's share in the latent space: float times bf16 stored by inputs, into float; a head a batch.
template <int RM>
DEVICE void absorb(const ProductArgs& args) {
  product_tile<RM, float>(args, activations<FloatRows, float>(args),
                          weights<Bf16Columns, uint16_t>(args));
}
KERNEL(absorb_16, ProductArgs, PRODUCT_THREADS) { absorb<1>(args); }
KERNEL(absorb_64, ProductArgs, PRODUCT_THREADS) { absorb<4>(args); }

// From sums of latents to values: float times bf16 into bf16; a head a batch.
template <int RM>
DEVICE void values(const ProductArgs& args) {
  product_tile<RM, uint16_t>(args, activations<FloatRows, float>(args),
                             weights<Bf16Rows, uint16_t>(args));
}
KERNEL(values_16, ProductArgs, PRODUCT_THREADS) { values<1>(args); }
KERNEL(values_64, ProductArgs, PRODUCT_THREADS) { values<4>(args); }
