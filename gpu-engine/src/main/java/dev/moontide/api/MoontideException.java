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
package dev.moontide.api;

import com.google.errorprone.annotations.FormatMethod;

/**
 * An error whose message is written for the person who reads it: it names the operation, the value
 * found, what was expected and the remedy.
 */
public class MoontideException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What failed, which decides who must act. */
  public enum Category {
    /** Options or configuration: nothing was started. */
    CONFIGURATION,
    /** The checkpoint cannot be loaded. */
    CHECKPOINT,
    /** One row cannot be computed; the job goes on. */
    ROW,
    /** The engine failed; the task is retried. */
    ENGINE,
    /** The device is lost to this process, which must end; its tasks are retried elsewhere. */
    DEVICE
  }

  private final Category category;

  public MoontideException(Category category, String message) {
    super(message);
    this.category = category;
  }

  public MoontideException(Category category, String message, Throwable cause) {
    super(message, cause);
    this.category = category;
  }

  /** Bad options or configuration. */
  @FormatMethod
  public static MoontideException configuration(String format, Object... arguments) {
    return new MoontideException(Category.CONFIGURATION, String.format(format, arguments));
  }

  /** A checkpoint that cannot be loaded. */
  @FormatMethod
  public static MoontideException checkpoint(String format, Object... arguments) {
    return new MoontideException(Category.CHECKPOINT, String.format(format, arguments));
  }

  /** A row that cannot be computed. */
  @FormatMethod
  public static MoontideException row(String format, Object... arguments) {
    return new MoontideException(Category.ROW, String.format(format, arguments));
  }

  /** A failure of the engine itself. */
  @FormatMethod
  public static MoontideException engine(String format, Object... arguments) {
    return new MoontideException(Category.ENGINE, String.format(format, arguments));
  }

  public Category category() {
    return category;
  }
}
