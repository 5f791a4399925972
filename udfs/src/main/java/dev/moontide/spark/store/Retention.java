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
package dev.moontide.spark.store;

import java.time.Duration;

/**
 * How long a store keeps results that no job uses: those of earlier models, prompts and parameters,
 * and of rows that are no longer asked. A result that is used is stored again before its segment
 * goes, so what a job uses at least once a fortnight stays.
 */
final class Retention {
  /** A segment of this age goes. */
  static final Duration UNUSED = Duration.ofDays(30);

  /** What is used of a segment of this age is stored again. */
  static final Duration OLD = UNUSED.dividedBy(2);

  private Retention() {}

  static boolean isOld(SegmentFiles.Entry segment) {
    return isOlder(segment, OLD);
  }

  static boolean isUnused(SegmentFiles.Entry segment) {
    return isOlder(segment, UNUSED);
  }

  private static boolean isOlder(SegmentFiles.Entry segment, Duration age) {
    return segment.written() < System.currentTimeMillis() - age.toMillis();
  }
}
