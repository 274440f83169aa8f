"""A provider's Batch API: its files and batches, as OpenAI documents them."""
import json


class BatchApi:
    """Each batch is completed, with an answer to each line, when it is looked at."""

    def __init__(self):
        self.files, self.batches, self._made = {}, {}, 0

    def add_file(self, content):
        self._made += 1
        name = f"file-{self._made}"
        self.files[name] = content
        return name

    def submit(self, file, metadata=None):
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {
            "id": name, "object": "batch", "endpoint": "/v1/chat/completions", "errors": None, "input_file_id": file,
            "completion_window": "24h", "status": "validating", "output_file_id": None, "error_file_id": None,
            "created_at": 1795478400, "expires_at": 1795564800, "metadata": metadata,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        return name

    def complete(self, name):
        """Answers the lines of a batch."""
        batch = self.batches[name]
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].decode().splitlines()]
        output = "".join(json.dumps(_answered(line)) + "\n" for line in lines)
        counts = {"total": len(lines), "completed": len(lines), "failed": 0}
        batch.update(status="completed", output_file_id=self.add_file(output.encode()), request_counts=counts)

    def answer(self, method, path, body):
        """Status, content type and body of the answer to a request."""
        match (method, path.partition("?")[0].strip("/").split("/")):
            case "POST", ["v1", "files"]:
                content = body.split(b"filename=", 1)[1].split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
                # The purpose may stand behind the file.
                content = content.split(b"\r\n--", 1)[0]
                return _file(self.add_file(content), len(content))
            case "GET", ["v1", "files", name] if name in self.files:
                return _file(name, len(self.files[name]))
            case "GET", ["v1", "files", name, "content"] if name in self.files:
                return 200, "application/octet-stream", self.files[name]
            case "DELETE", ["v1", "files", name]:
                deleted = self.files.pop(name, None) is not None
                return _json(200, {"id": name, "object": "file", "deleted": deleted})
            case "POST", ["v1", "batches"]:
                order = json.loads(body)
                return _json(200, self.batches[self.submit(order["input_file_id"], order.get("metadata"))])
            case "GET", ["v1", "batches"]:
                return _json(200, {"object": "list", "data": list(self.batches.values())[::-1], "has_more": False})
            case "GET", ["v1", "batches", name] if name in self.batches:
                return _json(200, self.batches[name])
        return _json(404, {"error": {"message": "no such path", "type": "invalid_request_error"}})


def _answered(line):
    text = f"heard 1: {line['body']['messages'][-1]['content']}"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "c-1", "object": "chat.completion", "model": "m-1", "choices": [choice]}
    response = {"status_code": 200, "request_id": "r-1", "body": body}
    return {"id": f"r-{line['custom_id']}", "custom_id": line["custom_id"], "response": response, "error": None}


def _file(name, length):
    return _json(200, {"id": name, "object": "file", "bytes": length, "filename": "in.jsonl", "purpose": "batch",
                       "status": "processed"})


def _json(status, value):
    return status, "application/json", json.dumps(value).encode()
