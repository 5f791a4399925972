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

import dev.moontide.spark.store.SegmentFiles.Entry;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Merges small segments. The merged one is whole before any it replaces goes, so that an end at any
 * moment loses nothing; a result that is there twice is the same twice.
 */
final class Compaction {
  private static final Logger LOG = LoggerFactory.getLogger(Compaction.class);

  /** Segments of at least this size are left as they are. */
  private static final long LARGE_BYTES = 32L << 20;

  /** Bytes of a merged segment, about. */
  static final long MERGED_BYTES = 128L << 20;

  private Compaction() {}

  /** Merges the small segments of a store, but for old ones, which a merge would make young. */
  static void compact(SegmentFiles files) throws IOException {
    Map<String, List<Entry>> byScope = new TreeMap<>();
    for (Entry segment : files.list("")) {
      if (segment.bytes() < LARGE_BYTES && !Retention.isOld(segment)) {
        byScope
            .computeIfAbsent(SegmentFiles.scopeOf(segment.name()), scope -> new ArrayList<>())
            .add(segment);
      }
    }
    for (List<Entry> segments : byScope.values()) {
      segments.sort(Comparator.comparing(Entry::name));
      List<Entry> group = new ArrayList<>();
      for (Entry segment : segments) {
        group.add(segment);
        if (bytes(group) >= MERGED_BYTES) {
          merge(files, group);
          group.clear();
        }
      }
      if (group.size() > 1) {
        merge(files, group);
      }
    }
  }

  /** Deletes what no job has used for long. */
  static void dropUnused(SegmentFiles files) throws IOException {
    for (Entry segment : files.list("")) {
      if (Retention.isUnused(segment)) {
        LOG.info("{}/{} is dropped: no job used it for long", files, segment.name());
        files.delete(segment.name());
      }
    }
  }

  static long bytes(List<Entry> segments) {
    return segments.stream().mapToLong(Entry::bytes).sum();
  }

  /** Replaces {@code segments}, which are of one scope, by one. */
  static Entry merge(SegmentFiles files, List<Entry> segments) throws IOException {
    Entry merged =
        files.write(
            SegmentFiles.scopeOf(segments.get(0).name()),
            out -> {
              for (Entry segment : segments) {
                read(files, segment, block -> Segment.writeBlock(out, block));
              }
            });
    for (Entry segment : segments) {
      files.delete(segment.name());
    }
    return merged;
  }

  /**
   * Reads a segment's whole blocks; a torn one is logged.
   *
   * @return whether the segment is there
   */
  static boolean read(SegmentFiles files, Entry segment, Segment.BlockConsumer blocks)
      throws IOException {
    Optional<InputStream> opened = files.open(segment.name());
    if (opened.isEmpty()) {
      return false;
    }
    try (InputStream in = opened.get()) {
      if (!Segment.read(in, blocks)) {
        LOG.warn(
            "{}/{} is damaged or of another version: from there on its results are computed again",
            files,
            segment.name());
      }
    }
    return true;
  }
}
