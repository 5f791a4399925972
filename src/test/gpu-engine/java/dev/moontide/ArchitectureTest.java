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
package dev.moontide;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Which package may use which: the list in docs/architecture.md, held by the build. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("dev.moontide");

  @Test
  void packagesUseOnlyThoseBelow() {
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .layer("engine")
        .definedBy("dev.moontide.engine..")
        .layer("scheduler")
        .definedBy("dev.moontide.scheduler..")
        .layer("sampling")
        .definedBy("dev.moontide.sampling..")
        .layer("constraint")
        .definedBy("dev.moontide.constraint..")
        .layer("model")
        .definedBy("dev.moontide.model..")
        .layer("checkpoint")
        .definedBy("dev.moontide.checkpoint..")
        .layer("tokenizer")
        .definedBy("dev.moontide.tokenizer..")
        .layer("cpu")
        .definedBy("dev.moontide.cpu..")
        .layer("cuda")
        .definedBy("dev.moontide.cuda..")
        .layer("tensor")
        .definedBy("dev.moontide.tensor..")
        .layer("api")
        .definedBy("dev.moontide.api..")
        .whereLayer("engine")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("scheduler")
        .mayOnlyBeAccessedByLayers("engine")
        .whereLayer("sampling")
        .mayOnlyBeAccessedByLayers("engine", "scheduler", "cpu")
        .whereLayer("constraint")
        .mayOnlyBeAccessedByLayers("engine", "scheduler")
        .whereLayer("model")
        .mayOnlyBeAccessedByLayers("engine", "scheduler", "constraint")
        .whereLayer("checkpoint")
        .mayOnlyBeAccessedByLayers("engine", "model")
        .whereLayer("tokenizer")
        .mayOnlyBeAccessedByLayers("engine", "model", "constraint")
        .whereLayer("cpu")
        .mayOnlyBeAccessedByLayers("engine")
        .whereLayer("cuda")
        .mayOnlyBeAccessedByLayers("engine")
        .whereLayer("tensor")
        .mayOnlyAccessLayers("api")
        .check(CLASSES);
  }

  @Test
  void noCycles() {
    slices().matching("dev.moontide.(*)..").should().beFreeOfCycles().check(CLASSES);
  }

  @Test
  void theEngineKnowsNoSpark() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.apache.spark..", "org.apache.arrow..", "scala..")
        .check(CLASSES);
  }

  @Test
  void onlyTheCpuBackendTouchesOneDnn() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.moontide.cpu..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco..")
        .check(CLASSES);
  }

  @Test
  void onlyTheCudaBackendTouchesJCuda() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.moontide.cuda..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jcuda..")
        .check(CLASSES);
  }

  @Test
  void theSchedulerKnowsNoClockAndNoThreads() {
    noClasses()
        .that()
        .resideInAPackage("dev.moontide.scheduler..")
        .should()
        .callMethod(System.class, "nanoTime")
        .orShould()
        .callMethod(System.class, "currentTimeMillis")
        .orShould()
        .dependOnClassesThat()
        .resideInAPackage("java.util.concurrent..")
        .check(CLASSES);
  }
}
