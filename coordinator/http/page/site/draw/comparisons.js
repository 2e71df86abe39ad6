/** What can be drawn side by side: which choices there are, which one is made already, and how a job gets each. @module */

export const COMPARISONS = {
  methods: {
    current: ({ method }) => method,
    choices: ({ models }, { ensemble }) =>
      models.find(({ name }) => name === ensemble).methods
        .map(({ name }) => ({ value: name, label: name })),
    settings: (method, values, { models }) => {
      const { methods } = models.find(({ name }) => name === values.ensemble);
      const example = methods.find(({ name }) => name === method)?.example;
      const own = method === values.method ? values.method_options : example ?? "";
      return { method, method_options: own };
    },
  },
  samplers: {
    current: ({ sampler }) => sampler,
    choices: ({ samplers }) => samplers.map(({ name, label }) => ({ value: name, label })),
    settings: (sampler, { schedule }, { samplers }) => {
      const { schedules } = samplers.find(({ name }) => name === sampler);
      return { sampler, schedule: schedules.includes(schedule) ? schedule : "" };
    },
  },
};
