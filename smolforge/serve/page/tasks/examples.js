/** Texts to try the tasks on. */

/** @type {Record<string, {text: string, schema: string}>} */
export const EXTRACT_EXAMPLES = {
  "An invoice": {
    text: "Invoice 2291 from Harbour Coffee Ltd. Dear Ms Okafor, for the delivery on 3 March 2026 we charge you 148.50 euros, to be paid by 17 March 2026. Kind regards, Tomas Berg",
    schema: "company span, customer span, amount float, currency, due_date span",
  },
  "A person": {
    text: "Lena Fischer, 34, moved from Bremen to Lisbon in 2019. She works as a nurse, plays the cello, and reads anything about whales.",
    schema: "name span, age int, city span: where she lives now, interests [str]",
  },
  "A meeting, as JSON Schema": {
    text: "Let's meet on Thursday at 15:30 in the small library room. Priya and Jonas will join, and we need about forty minutes.",
    schema: JSON.stringify(
      {
        type: "object",
        properties: {
          day: { type: "string" },
          time: { type: "string" },
          place: { type: "string" },
          people: { type: "array", items: { type: "string" } },
        },
        required: ["day", "time", "place", "people"],
      },
      null,
      2,
    ),
  },
};

export const CLASSIFY_EXAMPLE = {
  text: "The parcel arrived two days late and the box was open, but the lamp itself is fine and looks lovely.",
  labels: ["delivery problem", "damaged product", "wrong product", "praise", "question"],
};
