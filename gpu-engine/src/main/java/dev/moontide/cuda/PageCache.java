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
package dev.moontide.cuda;

/**
 * The latent cache as pages of 64 tokens, [layers][pages]. A layer's first pages are spare: one
 * that rows without a token write to, the others for tokens of a trie, which see entries that lie
 * elsewhere; then come the blocks.
 */
record PageCache(int layers, int blocks, Memory memory) implements DeviceCache {
  /** The page that rows without a token write to and read. */
  static final int IDLE_PAGE = 0;

  /** The first page for tokens of a trie. */
  static final int FIRST_TRIE_PAGE = 1;

  /** Pages for tokens of a trie. */
  static final int TRIE_PAGES = 256;

  /** The page of block 0. */
  static final int FIRST_BLOCK_PAGE = FIRST_TRIE_PAGE + TRIE_PAGES;

  static long bytes(int layers, int blocks) {
    return (long) layers * (FIRST_BLOCK_PAGE + blocks) * Tiles.PAGE_BYTES;
  }

  /** Bytes of spare pages. */
  static long spareBytes(int layers) {
    return bytes(layers, 0);
  }

  @Override
  public int blockSize() {
    return Tiles.PAGE_TOKENS;
  }

  @Override
  public long blockBytes() {
    return Tiles.PAGE_BYTES;
  }

  @Override
  public long offset(int layer, int block) {
    return ((long) layer * (FIRST_BLOCK_PAGE + blocks) + FIRST_BLOCK_PAGE + block)
        * Tiles.PAGE_BYTES;
  }

  /** Where the layer's pages begin. */
  long address(int layer) {
    return memory.address() + (long) layer * (FIRST_BLOCK_PAGE + blocks) * Tiles.PAGE_BYTES;
  }
}
