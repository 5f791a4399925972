@NullMarked
package dev.moontide.spark.store;

import org.jspecify.annotations.NullMarked;
