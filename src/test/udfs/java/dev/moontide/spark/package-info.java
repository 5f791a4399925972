@NullMarked
package dev.moontide.spark;

import org.jspecify.annotations.NullMarked;
