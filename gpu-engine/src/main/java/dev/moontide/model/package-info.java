/** The DeepSeek-V3 architecture as Kimi-K2 uses it: its configuration, weights and equations. */
@NullMarked
package dev.moontide.model;

import org.jspecify.annotations.NullMarked;
