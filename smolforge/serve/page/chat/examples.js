/** What a first visitor can try. */

export const EXAMPLE_TOOLS = JSON.stringify(
  [
    {
      name: "get_weather",
      description: "The weather in a city, now",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, unit: { enum: ["celsius", "fahrenheit"] } },
        required: ["city"],
      },
    },
  ],
  null,
  2,
);

export const FIRST_QUESTION = "Explain in three sentences why the sky is blue.";
