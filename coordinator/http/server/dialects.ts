/** All APIs that the server speaks, over one runtime. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import { comfyApi } from "../comfy/comfy_api.ts";
import { openaiApi } from "../openai/openai_api.ts";
import { webuiApi } from "../sdapi/webui_api.ts";
import { page } from "../page/page.ts";
import { nativeApi } from "../v1/native_api.ts";
import type { Dialect } from "./route.ts";

export function dialectsOf(runtime: JobRuntime): readonly [Dialect, ...Dialect[]] {
  const native = nativeApi(runtime);
  return [
    native,
    webuiApi(runtime),
    openaiApi(runtime),
    comfyApi(runtime),
    page(native.refusal),
  ];
}
