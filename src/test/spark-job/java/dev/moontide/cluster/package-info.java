/** The packaged job on a real Spark cluster, whose parts are killed, stopped and filled up. */
@NullMarked
package dev.moontide.cluster;

import org.jspecify.annotations.NullMarked;
