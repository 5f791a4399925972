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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.store.SegmentFiles.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The finished results of a job as one JVM sees them: those stored ({@link LocalResults}, a local
 * copy of the segments) and those its tasks are computing ({@link Pending}). A task looks for a
 * request's result before it computes it and keeps what it computed, which is stored while the task
 * runs: after {@link #STORED_ROWS} rows or {@link #STORED_MILLIS}, whichever is first. Thread-safe.
 */
public final class ResultStore {
  private static final Logger LOG = LoggerFactory.getLogger(ResultStore.class);

  static final int STORED_ROWS = 256;
  static final long STORED_MILLIS = 2000;

  /** Segments that a task can read without delay. */
  private static final int FEW_SEGMENTS = 64;

  /** How often a task's results are looked at, and so how many segments it writes a second. */
  private static final long TICK_MILLIS = 250;

  /** The JVM's stores, by folder, run and scope. */
  private static final Map<String, ResultStore> OPEN = new HashMap<>();

  private final SegmentFiles files;
  private final String scope;
  private final LocalResults local;
  private final Map<RequestKey, Pending> pending = new ConcurrentHashMap<>();
  private final Set<String> seen = ConcurrentHashMap.newKeySet();
  private final Set<TaskResults> tasks = ConcurrentHashMap.newKeySet();
  private final ScheduledExecutorService ticks;

  /** Guarded by {@link #OPEN}. */
  private int users;

  /**
   * @param spool a folder on this machine's disk
   */
  ResultStore(SegmentFiles files, String scope, Path spool) throws IOException {
    this.files = files;
    this.scope = scope;
    this.local = new LocalResults(spool);
    ticks =
        Executors.newSingleThreadScheduledExecutor(
            runnable -> {
              Thread thread = new Thread(runnable, "moontide-results");
              thread.setDaemon(true);
              return thread;
            });
    var unused =
        ticks.scheduleWithFixedDelay(
            () -> tasks.forEach(TaskResults::storeIfDue),
            TICK_MILLIS,
            TICK_MILLIS,
            TimeUnit.MILLISECONDS);
  }

  /**
   * What a task does with the store; the JVM's tasks of one run share it.
   *
   * @param spool a folder on this machine's disk for a copy of the results
   * @throws MoontideException of category engine if the store cannot be read
   */
  public static TaskResults open(ResultFolder folder, RequestKeys keys, Path spool) {
    try {
      ResultStore store = shared(folder, keys.scopeName(), spool);
      try {
        store.refresh();
        return store.task(keys, () -> release(store));
      } catch (IOException | RuntimeException | Error failed) {
        release(store);
        throw failed;
      }
    } catch (IOException failed) {
      throw new MoontideException(
          MoontideException.Category.ENGINE,
          "the finished results in " + folder.path() + " cannot be read: " + failed,
          failed);
    }
  }

  private static ResultStore shared(ResultFolder folder, String scope, Path spool)
      throws IOException {
    String run = String.join(" ", folder.path(), folder.run(), "");
    String name = run + scope;
    synchronized (OPEN) {
      ResultStore store = OPEN.get(name);
      if (store == null) {
        closeUnused(run);
        store =
            new ResultStore(new SegmentFiles(folder.path(), folder.hadoop().value()), scope, spool);
        OPEN.put(name, store);
      }
      store.users++;
      return store;
    }
  }

  /** Those of other runs: a store stays between the tasks of its own. */
  private static void closeUnused(String run) {
    for (Iterator<Map.Entry<String, ResultStore>> stores = OPEN.entrySet().iterator();
        stores.hasNext(); ) {
      Map.Entry<String, ResultStore> store = stores.next();
      if (store.getValue().users == 0 && !store.getKey().startsWith(run)) {
        stores.remove();
        store.getValue().close();
      }
    }
  }

  private static void release(ResultStore store) {
    synchronized (OPEN) {
      store.users--;
    }
  }

  /**
   * Merges the small segments of the store in {@code folder}, once no task writes to it, and drops
   * those that no job has used for thirty days.
   */
  public static void compact(String folder, Configuration configuration) throws IOException {
    SegmentFiles files = new SegmentFiles(folder, configuration);
    Compaction.compact(files);
    Compaction.dropUnused(files);
  }

  /** Merges the small segments of the store in {@code folder} if it has many; tasks may write. */
  public static void tidy(String folder, Configuration configuration) throws IOException {
    SegmentFiles files = new SegmentFiles(folder, configuration);
    if (files.list("").size() > FEW_SEGMENTS) {
      Compaction.compact(files);
    }
  }

  /** Takes in what others stored since the last time. */
  synchronized void refresh() throws IOException {
    boolean complete = false;
    // Old segments first, so that what they alone have lies together.
    // A segment that is gone was merged into one that the next listing has.
    for (int attempt = 0; attempt < 3 && !complete; attempt++) {
      complete = true;
      List<Entry> segments = files.list(scope);
      segments.sort(Comparator.comparing(Entry::written));
      for (Entry segment : segments) {
        if (!Retention.isOld(segment)) {
          local.endOld();
        }
        if (!seen.contains(segment.name())) {
          boolean found = Compaction.read(files, segment, local::add);
          complete &= found;
          if (found) {
            seen.add(segment.name());
          }
        }
      }
    }
    local.endOld();
  }

  /** A task's part, which calls {@code release} when it is closed. */
  TaskResults task(RequestKeys keys, Runnable release) {
    TaskResults task = new TaskResults(this, keys, release);
    tasks.add(task);
    return task;
  }

  // ---- for the tasks of this JVM ---------------------------------------------------------------

  @Nullable StoredResult find(RequestKey key) throws IOException {
    byte[] bytes = local.find(key);
    return bytes == null ? null : StoredResult.read(bytes);
  }

  /** Whether the result of {@code key}, which is there, should be stored again. */
  boolean isOld(RequestKey key) {
    return local.isOld(key);
  }

  Map<RequestKey, Pending> pending() {
    return pending;
  }

  /** Stores a block of records. */
  Entry store(ByteBuffer block) throws IOException {
    local.endOld();
    Entry segment = files.write(scope, out -> Segment.writeBlock(out, block));
    seen.add(segment.name());
    local.add(block);
    return segment;
  }

  /** Merges a task's own segments. */
  Entry merge(List<Entry> segments) throws IOException {
    Entry merged = Compaction.merge(files, segments);
    seen.add(merged.name());
    return merged;
  }

  void leave(TaskResults task) {
    tasks.remove(task);
  }

  @Override
  public String toString() {
    return files.toString();
  }

  /** Ends the store in this JVM, when it has no tasks. */
  void close() {
    ticks.shutdownNow();
    try {
      local.close();
    } catch (IOException failed) {
      LOG.warn("the local copy of {} cannot be closed", files, failed);
    }
  }
}
