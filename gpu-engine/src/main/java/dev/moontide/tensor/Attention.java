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
package dev.moontide.tensor;

/**
 * The shape of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), read from the
 * checkpoint's config.
 *
 * @param heads {@code num_attention_heads}
 * @param nopeDim {@code qk_nope_head_dim}
 * @param ropeDim {@code qk_rope_head_dim}
 * @param valueDim {@code v_head_dim}
 * @param latentDim {@code kv_lora_rank}
 * @param softmaxScale {@code (nopeDim + ropeDim)^-½}, times yarn's {@code mscale²}
 * @param normEpsilon {@code rms_norm_eps}, for the norm of the latent
 */
public record Attention(
    int heads,
    int nopeDim,
    int ropeDim,
    int valueDim,
    int latentDim,
    float softmaxScale,
    float normEpsilon) {
  /** Width of a query: {@code heads · (nopeDim + ropeDim)}. */
  public int queryColumns() {
    return heads * (nopeDim + ropeDim);
  }

  /** Width of the attention's output before {@code o_proj}. */
  public int outputColumns() {
    return heads * valueDim;
  }

  /** Numbers cached for a token and layer: the normalised latent and the rotated key. */
  public int cacheColumns() {
    return latentDim + ropeDim;
  }
}
