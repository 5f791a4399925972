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

import java.util.Set;
import org.apache.hadoop.fs.FileSystem;

/** How files become visible on a file system, on which it depends how they are committed. */
public enum FileSystemKind {
  /** Files show while they are written; a file or folder is renamed in one step. */
  RENAMING,
  /** A file shows whole when it is closed; a folder cannot be renamed in one step. */
  OBJECT_STORE;

  private static final Set<String> OBJECT_STORES =
      Set.of(
          "s3a", "s3", "s3n", "gs", "wasb", "wasbs", "oss", "cosn", "obs", "swift", "bos", "ks3");

  /** The kind of {@code files}, by its scheme. */
  public static FileSystemKind of(FileSystem files) {
    return OBJECT_STORES.contains(files.getUri().getScheme()) ? OBJECT_STORE : RENAMING;
  }
}
