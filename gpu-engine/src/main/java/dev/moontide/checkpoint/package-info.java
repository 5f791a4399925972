/** Checkpoints on disk: safetensors files, their index, and the formats weights are stored in. */
@NullMarked
package dev.moontide.checkpoint;

import org.jspecify.annotations.NullMarked;
