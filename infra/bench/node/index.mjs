// receive-github as people write it by hand in Node: check the signature, put the push, answer.
// The second half stands in for Lambda's own runtime, so that what is measured is the same.
import { createHmac, timingSafeEqual } from "node:crypto";
import { Agent, request } from "node:http";
import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";

const table = new DynamoDBClient({});
const secret = process.env.WEBHOOK_SECRET;

async function handle(event) {
  const body = Buffer.from(event.body ?? "", event.isBase64Encoded ? "base64" : "utf8");
  const given = Buffer.from(event.headers["x-hub-signature-256"] ?? "");
  const right = Buffer.from("sha256=" + createHmac("sha256", secret).update(body).digest("hex"));
  if (given.length !== right.length || !timingSafeEqual(given, right)) return { statusCode: 401 };
  const push = JSON.parse(body);
  const item = { pk: `${push.repository.id}#${push.ref}#${push.before}#${push.after}`, commit: push.after };
  await table.send(
    new PutItemCommand({
      TableName: process.env.TOWLINE_TABLE,
      Item: Object.fromEntries(Object.entries(item).map(([name, value]) => [name, { S: value }])),
      ConditionExpression: "attribute_not_exists(pk)",
    }),
  );
  return { statusCode: 202, body: "accepted" };
}

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const call = (method, path, body = "") =>
  new Promise((resolve, reject) => {
    const headers = { "content-length": Buffer.byteLength(body) };
    const sent = request({ host, port, agent, method, path: `/2018-06-01/runtime/${path}`, headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(parts) }));
    });
    sent.on("error", reject).end(body);
  });

for (;;) {
  const next = await call("GET", "invocation/next");
  const id = next.headers["lambda-runtime-aws-request-id"];
  await call("POST", `invocation/${id}/response`, JSON.stringify(await handle(JSON.parse(next.body))));
}
