/** Inner loops on the Vector API: static methods over arrays, and nothing else. */
@NullMarked
package dev.moontide.cpu.vector;

import org.jspecify.annotations.NullMarked;
