"""A suite of trainings that take a second each."""

from toy import TOY_SIZE

SIZE = ", ".join(f"{name} = {value}" for name, value in TOY_SIZE.items())
TOY = f"""
preset = "micro"
seeds = [0, 1]
model = {{ {SIZE} }}
training = {{ epochs = 1, batch_size = 50 }}
[tasks.toy]
files = {{ train = "train.jsonl", validation = "validation.jsonl", test = "test.jsonl" }}
training = {{ epochs = 2 }}
metrics = ["f1"]
[variants]
plain = {{}}
wide = {{ model = {{ width = 32 }} }}
[variants.long]
training = {{ epochs = 3 }}
[[groups]]
table = "Main"
tasks = ["toy"]
variants = ["plain", "long"]
[[groups]]
table = "Width"
tasks = ["toy"]
variants = ["plain", "wide"]
seeds = [0]
"""
