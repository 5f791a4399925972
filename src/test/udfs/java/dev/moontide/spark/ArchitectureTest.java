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
package dev.moontide.spark;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("dev.moontide.spark");

  @Test
  void theTransformKnowsNeitherTheCommandLineNorADevice() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("dev.moontide.job..", "jcuda..", "org.bytedeco..", "dev.moontide.cpu..")
        .check(CLASSES);
  }

  @Test
  void theTransformLeavesTheModelToTheEngine() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "dev.moontide.scheduler..", "dev.moontide.sampling..", "dev.moontide.tensor..")
        .check(CLASSES);
  }

  @Test
  void catalystIsReachedThroughTheExtensionsAndTheTransformAlone() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.moontide.spark.sql..")
        .and()
        .doNotBelongToAnyOf(MoontideExtensions.class, Moontide.class)
        .should()
        .dependOnClassesThat()
        .resideInAPackage("dev.moontide.spark.sql..")
        .check(CLASSES);
  }
}
