import assert from "node:assert/strict";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { run, tryRun } from "../support/run_program.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { DEPLOY, hasCommand, unknownFlags } from "./deploy_files.ts";

interface Probe {
  readonly httpGet: { readonly path: string; readonly scheme?: string };
}

interface Container {
  readonly args: readonly string[];
  readonly env?: readonly { name: string; value?: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly securityContext: Record<string, unknown>;
  readonly resources: { readonly limits: Record<string, unknown> };
}

interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: Record<string, unknown> & { readonly containers: readonly Container[] };
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Record<string, unknown> & { readonly template: PodTemplate };
}

const hasKubectl = await tryRun("kubectl", ["version", "--client"]);
const skip = hasKubectl ? "" : " (skipped: there is no kubectl)";

async function render(overlay: string): Promise<Manifest[]> {
  const path = join(DEPLOY, "kubernetes", "overlays", overlay);
  const text = await run("kubectl", ["kustomize", path]);
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest;
  });
}

/** What the compiler says of manifests as values of their own types: unknown fields, wrong types, missing fields. */
async function typeErrors(manifests: readonly object[]): Promise<string> {
  await using folder = await tempFolder();
  const lines = (manifests as Manifest[]).map((manifest, i) => {
    const path = manifest.apiVersion === "v1" ? "v1" : manifest.apiVersion;
    return `import type { I${manifest.kind} as M${i} } from "kubernetes-models/${path}/${manifest.kind}";\n` +
      `export const m${i}: M${i} = ${JSON.stringify(manifest)};`;
  });
  const file = folder.join("manifests.ts");
  await Deno.writeTextFile(file, lines.join("\n"));
  const config = join(MAIN_PROGRAM, "..", "deno.json");
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", config, file],
    env: { NO_COLOR: "1" },
  }).output();
  return success ? "" : new TextDecoder().decode(stderr);
}

const templates = (manifests: readonly Manifest[]) =>
  manifests.filter(({ kind }) => ["StatefulSet", "Deployment"].includes(kind))
    .map(({ metadata: { name }, spec: { template } }) => ({ name, template }));

for (const overlay of ["zoo-cpu", "gpu"]) {
  Deno.test({
    name: `deploy/kubernetes: ${overlay} renders to objects of the published types${skip}`,
    ignore: !hasKubectl,
    fn: async () => {
      const manifests = await render(overlay);
      assert.equal(await typeErrors(manifests), "");
      const kinds = new Set(manifests.map(({ kind }) => kind));
      for (
        const kind of [
          ...["StatefulSet", "Deployment", "Service", "PodDisruptionBudget"],
          ...["HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim", "ConfigMap"],
        ]
      ) assert.ok(kinds.has(kind), `no ${kind}`);
      assert.ok(!kinds.has("Secret"), "no secret is committed");
    },
  });

  Deno.test({
    name:
      `deploy/kubernetes: pods of ${overlay} are hardened, have time to drain, and flags that exist${skip}`,
    ignore: !hasKubectl,
    fn: async () => {
      for (const { name, template } of templates(await render(overlay))) {
        const { containers, securityContext, terminationGracePeriodSeconds } = template.spec;
        assert.equal((securityContext as { runAsNonRoot: boolean }).runAsNonRoot, true, name);
        for (const { args, env, securityContext: own, resources } of containers) {
          assert.equal(own.readOnlyRootFilesystem, true, name);
          assert.equal(own.allowPrivilegeEscalation, false, name);
          assert.ok(resources.limits.memory, name);
          if (name === "nats") continue;
          if (await hasCommand(args[0]!)) assert.deepEqual(await unknownFlags(args), [], name);
          const drain = args.find((arg) => arg.startsWith("--drain-limit="));
          const drainSeconds = Number(drain?.split("=")[1] ?? 0);
          assert.ok(terminationGracePeriodSeconds as number > drainSeconds, name);
          const unset = env?.filter(({ value }) => value === "overlay-sets-this");
          assert.deepEqual(unset, [], name);
        }
      }
    },
  });
}

for (const [overlay, scheme] of [["zoo-cpu", "HTTP"], ["gpu", "HTTPS"]] as const) {
  Deno.test({
    name: `deploy/kubernetes: probes and addresses of ${overlay} are those of ${scheme}${skip}`,
    ignore: !hasKubectl,
    fn: async () => {
      const manifests = await render(overlay);
      const sets = manifests.filter(({ metadata: { name } }) => name.startsWith("worker-"))
        .filter(({ kind }) => kind === "StatefulSet");
      assert.ok(sets.length >= 2);
      for (const { metadata: { name, namespace }, spec } of sets) {
        const { args, env, ...container } = spec.template.spec.containers[0]!;
        const { startupProbe, readinessProbe, livenessProbe } = container;
        assert.equal(env!.some((entry) => entry.name === "TUTTI_TLS_CERT"), scheme === "HTTPS");
        const probes = [startupProbe, readinessProbe, livenessProbe];
        const schemes = probes.map((probe) => probe!.httpGet.scheme ?? "HTTP");
        assert.deepEqual(schemes, [scheme, scheme, scheme], name);

        const advertised = args.filter((arg) => arg.startsWith("--advertise="));
        const expert = env!.find((entry) => entry.name === "EXPERT")!.value!;
        const [, host] = /^--advertise=(.*):7070$/.exec(advertised.join())!;
        if (scheme === "HTTP") assert.equal(host, "$(POD_IP)");
        else {
          assert.equal(
            host!.replace("$(EXPERT)", expert),
            `$(POD_NAME).${spec.serviceName}.${namespace}.svc.cluster.local`,
          );
        }
        const known = new Set(env!.map((entry) => entry.name));
        const used = [...args.join(" ").matchAll(/\$\((\w+)\)/g)].map(([, variable]) => variable!);
        assert.deepEqual(used.filter((variable) => !known.has(variable)), [], name);
        const service = manifests.find(({ kind, metadata }) =>
          kind === "Service" && metadata.name === spec.serviceName
        );
        assert.equal(service!.spec.publishNotReadyAddresses, true, name);
      }
    },
  });
}

Deno.test({
  name:
    `deploy/kubernetes: each expert has a selector, a budget and an autoscaler of its own${skip}`,
  ignore: !hasKubectl,
  fn: async () => {
    const manifests = await render("gpu");
    for (const expert of ["photo", "anime"]) {
      const named = manifests.filter(({ metadata }) => metadata.name === `worker-${expert}`);
      assert.deepEqual(named.map(({ kind }) => kind).sort(), [
        ...["HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "StatefulSet"],
      ]);
      const of = (kind: string) => named.find((manifest) => manifest.kind === kind)!.spec;
      assert.deepEqual(
        (of("HorizontalPodAutoscaler").scaleTargetRef as { name: string }).name,
        `worker-${expert}`,
      );
      assert.equal(of("StatefulSet").serviceName, `worker-${expert}`);
      for (const kind of ["PodDisruptionBudget", "StatefulSet"]) {
        const { matchLabels } = of(kind).selector as { matchLabels: Record<string, string> };
        assert.equal(matchLabels["tutti-expert"], expert, kind);
      }
      const [container] = of("StatefulSet").template.spec.containers;
      assert.equal(container!.resources.limits["nvidia.com/gpu"], 1);
    }
  },
});

Deno.test({
  name: `deploy/kubernetes: the check of types finds a misspelt field${skip}`,
  ignore: !hasKubectl,
  fn: async () => {
    const [set] = (await render("zoo-cpu")).filter(({ kind }) => kind === "StatefulSet");
    const wrong = structuredClone(set) as unknown as Record<string, Record<string, unknown>>;
    wrong.spec!.replicaz = 2;
    assert.match(await typeErrors([wrong]), /"replicaz"' does not exist in type/);
  },
});
