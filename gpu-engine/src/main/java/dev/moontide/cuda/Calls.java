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
package dev.moontide.cuda;

import dev.moontide.api.MoontideException;
import jcuda.driver.CUresult;

/** Checks what driver calls return. Values are put into words only once a call has failed. */
final class Calls {
  private Calls() {}

  /** Fails, naming {@code call}, unless it returned success. */
  static void check(int result, String call) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw failure(result, call);
    }
  }

  /** The same for a call about {@code what} with an amount, in most cases of bytes. */
  static void check(int result, String call, String what, long amount) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw failure(result, "%s(%s = %,d)".formatted(call, what, amount));
    }
  }

  /** The same for a call about something with a name. */
  static void check(int result, String call, String name) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw failure(result, "%s(%s)".formatted(call, name));
    }
  }

  private static MoontideException failure(int result, String call) {
    String message = "CUDA call %s returned %s".formatted(call, CUresult.stringFor(result));
    return isFatal(result)
        ? new MoontideException(
            MoontideException.Category.DEVICE,
            message
                + ": the device's state is lost, so this process can compute no more; the rows of"
                + " its tasks are computed elsewhere")
        : MoontideException.engine("%s", message);
  }

  /** Errors after which every further call of the process fails. */
  private static boolean isFatal(int result) {
    return switch (result) {
      case CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
          CUresult.CUDA_ERROR_LAUNCH_TIMEOUT,
          CUresult.CUDA_ERROR_LAUNCH_FAILED,
          CUresult.CUDA_ERROR_HARDWARE_STACK_ERROR,
          CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION,
          CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
          CUresult.CUDA_ERROR_INVALID_ADDRESS_SPACE,
          CUresult.CUDA_ERROR_INVALID_PC,
          CUresult.CUDA_ERROR_ASSERT,
          CUresult.CUDA_ERROR_ECC_UNCORRECTABLE,
          CUresult.CUDA_ERROR_NVLINK_UNCORRECTABLE ->
          true;
      default -> false;
    };
  }
}
