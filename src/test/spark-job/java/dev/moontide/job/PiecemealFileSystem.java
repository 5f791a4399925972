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
package dev.moontide.job;

import java.io.IOException;
import java.net.URI;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * The local file system as {@code piecemeal:/path}, which renames a folder as object stores do,
 * file by file in the order of their names, and stops in the middle where a test says so.
 */
public final class PiecemealFileSystem extends RawLocalFileSystem {
  private static final URI NAME = URI.create("piecemeal:///");

  /** Files of a folder whose path ends so that are renamed before the connection is lost. */
  private static final AtomicInteger LEFT = new AtomicInteger();

  private static volatile Pattern failing = Pattern.compile("");

  /** Lets the next rename of a folder that matches fail after {@code files} files. */
  static void failAfter(int files, String folder) {
    LEFT.set(files);
    failing = Pattern.compile(".*" + folder);
  }

  @Override
  public void initialize(URI uri, Configuration configuration) throws IOException {
    super.initialize(NAME, configuration);
  }

  @Override
  public String getScheme() {
    return NAME.getScheme();
  }

  @Override
  public URI getUri() {
    return NAME;
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    if (!getFileStatus(from).isDirectory()) {
      return super.rename(from, to);
    }
    boolean fails = failing.matcher(from.toString()).matches();
    move(from, to, fails);
    return true;
  }

  private void move(Path from, Path to, boolean fails) throws IOException {
    mkdirs(to);
    FileStatus[] children = listStatus(from);
    Arrays.sort(children);
    for (FileStatus child : children) {
      Path target = new Path(to, child.getPath().getName());
      if (child.isDirectory()) {
        move(child.getPath(), target, fails);
      } else {
        if (fails && LEFT.decrementAndGet() < 0) {
          failing = Pattern.compile("");
          throw new IOException("the connection is lost");
        }
        super.rename(child.getPath(), target);
      }
    }
    delete(from, true);
  }
}
