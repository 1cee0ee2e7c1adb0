"""The Chinese of what other stages wrote into a run in English: names of decisions, reasons, notes, phases.

The key is a pattern: `{0}`, `{1}` stand for any text, which is looked up here in its turn; the first pattern that fits
counts. What none fits is shown in English.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    "augmentation": "数据增强",
    "batch": "批大小",
    "channels": "通道",
    "class weights": "类别权重",
    "input": "输入",
    "length": "长度",
    "longest recording": "最长录音",
    "longest series": "最长序列",
    "longest text": "最长文本",
    "machine": "机器",
    "network": "网络",
    "number format": "数值格式",
    "optimizer": "优化器",
    "pictures": "图片",
    "processes": "进程",
    "activations": "激活值",
    "weights": "权重",
    "rows": "样本",
    "sample rate": "采样率",
    "steps": "步",
    "teacher": "教师",
    "tokens": "词元",
    "views": "视角",
    "vocabulary": "词表",
    "reading": "读取",
    "planning": "规划",
    "training": "训练",
    "judging": "评测",
    "explaining": "解释",
    "reporting": "写报告",
    "decoding": "解码",
    "words": "词",
    "characters": "字符",
    "pixels": "像素",
    "seconds": "秒",
    "Gnomon": "Gnomon",
    "Python": "Python",
    "Torch": "PyTorch",
    "Platform": "系统",
    "Processor": "处理器",
    "Instructions": "指令集",
    "Numpy": "NumPy",
    "Device": "设备",
    "Threads": "线程",
    "Seed": "种子",
    "Started": "开始",
    "Command": "命令",
}

_VALUES: Final = {
    "all": "全部",
    "none": "无",
    "equal": "相等",
    "whole": "原尺寸",
    "words and characters": "词和字符",
    "inverse of the rows": "与样本数成反比",
    "inverse root of the rows": "与样本数的平方根成反比",
    "{0} min {1} s": "{0} 分 {1} 秒",
    "{0} h {1} min": "{0} 小时 {1} 分",
    "{0} steps, {1} epochs": "{0} 步，{1} 轮",
    "{0}, learning rate {1}, {2}": "{0}，学习率 {1}，{2}",
    "linear": "线性下降",
    "cosine": "余弦下降",
    "constant": "恒定",
    "{0} processes, a batch in {1} shards": "{0} 个进程，每批分成 {1} 份",
    "one in place of {0}": "用一个，而不是 {0} 个",
    "computed anew in the backward pass": "反向传播时重新计算",
    "divided over the processes": "分摊到各个进程",
    "{0} process, a batch in {1} shards": "{0} 个进程，每批分成 {1} 份",
    "cpu, {0} threads": "CPU，{0} 个线程",
    "cpu, {0} thread": "CPU，{0} 个线程",
    "cuda, {0} threads": "GPU，{0} 个线程",
    "{0} channels": "{0} 个通道",
    "{0}, grey": "{0}，灰度",
    "{0}, grey, {1}": "{0}，灰度，{1}",
    "{0}, {1} channels, {2}": "{0}，{1} 个通道，{2}",
    "letterbox": "加边",
    "crop": "裁剪",
    "stretch": "拉伸",
    "{0} of {1} rows": "{1} 个样本中的 {0} 个",
    "{0} rows answered in {1} s": "{0} 个样本，回答用时 {1} 秒",
    "{0} words": "{0} 个词",
    "{0} tokens": "{0} 个词元",
    "{0} characters": "{0} 个字符",
    "{0} bands of pitch every {1} ms": "每 {1} 毫秒 {0} 个音高频带",
    "skip the easiest {0} between {1} and {2} of the steps": "在步数的 {1} 到 {2} 之间跳过最容易的 {0}",
    "3/4 of the sides in the first {0}": "前 {0} 的步数里边长为 3/4",
    "shift by up to {0}": "平移至多 {0}",
    "flip": "左右镜像",
    "flip, shift by up to {0}": "左右镜像，平移至多 {0}",
    "flip, shift by up to {0}, cutout {1}": "左右镜像，平移至多 {0}，遮去 {1}",
    "shift by up to {0}, cutout {1}": "平移至多 {0}，遮去 {1}",
    "mirror": "镜像",
    "four": "四个",
    "mirror+shift": "镜像和平移",
    "{0} steps": "{0} 步",
    "{0} steps, {1} s": "{0} 步，{1} 秒",
    "{0} Hz": "{0} Hz",
    "token dropout {0}": "随机丢弃 {0} 的词元",
    "means of {0} neighbouring ones": "每 {0} 个相邻步取平均",
}

_REASONS: Final = {
    "measured": "实测",
    "asked for": "按要求",
    "to decode all takes until {0} of {1}; --by {2}s has time for all of them": (
        "全部解码要到 {0}（共 {1}）；--by {2}s 就有时间全部解码"
    ),
    "that is {0} of the time, in which a network may learn more by itself": (
        "占去 {0} 的时间，网络在这段时间里自己学习也许收获更多"
    ),
    "planned": "按计划",
    "{0} training rows": "{0} 个训练样本",
    "{0} for training at {1} ms a step; {2} kept for the rest": "训练 {0}，每步 {1} 毫秒；其余工作留 {2}",
    "neither deadline nor epochs given": "没有给出截止时间，也没有给出轮数",
    "the largest of the ladder": "各档中最大的",
    "the largest that could be measured in {0} s": "{0} 秒内测得过来的最大网络",
    "the third size of the ladder, since no deadline is given": "没有给出截止时间，取第三档",
    "the next larger one, {0}, needs {1} passes and more time": "更大一档 {0} 需要 {1} 轮，时间不够",
    "the next larger one, {0} is better from {1} passes on, and there is time for {2}": (
        "更大一档 {0} 从 {1} 轮起才更好，而时间只够 {2} 轮"
    ),
    "measured {0} times as fast as float32; weights stay float32": "实测是 float32 的 {0} 倍快；权重仍为 float32",
    "{0} measured no faster ({1} times)": "实测 {0} 并不更快（{1} 倍）",
    "by the input's size and the machine's kind, since no deadline is given": (
        "没有给出截止时间，按输入大小和机器类型决定"
    ),
    "this machine multiplies no shorter numbers quickly": "这台机器计算更短的数值并不更快",
    "filters as matrices learn in the fewest epochs": "把卷积核当作矩阵来学，所需轮数最少",
    "each weight learns at its own pace": "每个权重按自己的步调学习",
    "a linear model keeps {0} of {1} accuracy on mirrored pictures: mirror images would be something else": (
        "线性模型在镜像图片上的准确率只剩 {0}（原为 {1}）：镜像后就成了别的东西"
    ),
    "a linear model keeps {0} of {1} accuracy on mirrored pictures: mirror images are like the data": (
        "线性模型在镜像图片上的准确率仍有 {0}（原为 {1}）：镜像后与数据相像"
    ),
    "{0}; cutout because each picture is seen {1} times": "{0}；每张图片要看 {1} 次，所以遮去一块",
    "asked for; {0}": "按要求；{0}",
    "{0} ms a step, {1} ms with {2} of one process": "每步 {0} 毫秒；一个进程用 {2} 时每步 {1} 毫秒",
    "{0} ms a step with {1} of one process, {2} ms by {3}; --shards {4} keeps them all the same": (
        "一个进程用 {1} 时每步 {0} 毫秒，{3} 时每步 {2} 毫秒；要保留多个进程，请用 --shards {4}"
    ),
    "process {0} of {1} is not ready in time": "{1} 个进程中的第 {0} 个没有及时准备好",
    "process {0} of {1} ended before it began": "{1} 个进程中的第 {0} 个还没开始就结束了",
    "{0}; brought to {1} Hz, which holds what tells voices and most sounds apart": (
        "{0}；统一为 {1} Hz，足以区分人声和大多数声音"
    ),
    "{0} Hz is the most common of {1} rates": "{1} 种采样率中以 {0} Hz 最常见",
    "the median picture's longer side is {0}": "图片长边的中位数为 {0}",
    "{0}; the most frequent {1} are kept": "{0}；保留最常见的 {1} 个",
    "a number may hang on height, loudness and speed, so these stay as they are": (
        "数值可能取决于高低、响度和快慢，所以保持原样"
    ),
    "largest class {0} times the smallest": "最大的类别是最小的 {0} 倍",
    "there are no classes": "没有类别",
    "views are of pictures and recordings, for classes": "视角只用于图片和录音的分类",
    "{0} is asked for, which {1} do not have": "要求的是 {0}，而{1}没有这种视角",
    "another pitch is not used in training either": "训练时也不改变音高",
    "for the {0} that the first one leaves most doubt about, which takes {1} more": (
        "用于第一遍最拿不准的 {0}，多需 {1}"
    ),
    "others would take {0} more": "其他视角要多需 {0}",
    "mirror images are not used in training either": "训练时也不用镜像",
    "for the {0} that the first one leaves most doubt about, which takes {1} more than two views": (
        "用于第一眼最拿不准的 {0}，比两个视角多需 {1}"
    ),
    "for the {0} that the first one leaves most doubt about; four would take {1} more": (
        "用于第一眼最拿不准的 {0}；四个视角要多需 {1}"
    ),
    "there is time for {0} passes": "时间够把样本看 {0} 遍",
    "by a deadline: the coarse comes first": "有截止时间：先学粗略的",
    "every pixel counts": "每个像素都要看",
    "every epoch is whole": "每一轮都用全部样本",
    "all pictures are {0}": "所有图片都是 {0}",
    "{0}; scaled down so that the time allows enough epochs": "{0}；缩小后时间才够跑足够多的轮数",
    "all recordings have {0} Hz": "所有录音都是 {0} Hz",
    "frames of {0} ms": "每帧 {0} 毫秒",
    "the median recording lasts {0} s, the longest {1} s": ("录音长度的中位数为 {0} 秒，最长 {1} 秒"),
    "the median series has {0} steps, the shortest {1}, the longest {2}": (
        "序列长度的中位数为 {0} 步，最短 {1}，最长 {2}"
    ),
    "the median text has {0} tokens, the longest {1}": "文本长度的中位数为 {0} 个词元，最长 {1}",
    "about {0} of the tokens of a new text will be unknown": "新文本中约有 {0} 的词元不认识",
    "{0}; {1} of the tokens are characters of scripts without spaces": "{0}；{1} 的词元是不用空格的文字",
    "of {0} different ones, those that occur at least twice: {1} of the text": (
        "共 {0} 个不同的，取至少出现两次的：覆盖文本的 {1}"
    ),
    "{0} texts are few: single words should not decide alone": "{0} 条文本不多：不应由单个词来决定",
    "voices, places and microphones differ; {0} rows show little of it": (
        "人声、地点和话筒各不相同，{0} 个样本体现得不多"
    ),
    "what is measured never comes again alike; {0} rows show little of it": (
        "测得的数据不会一模一样地重现，{0} 个样本体现得不多"
    ),
    "{0} steps are more than {1}": "{0} 步超过 {1}",
    "the machine is faster than planned: {0} ms a step": "机器比计划的快：每步 {0} 毫秒",
    "the machine is slower than planned: {0} ms a step": "机器比计划的慢：每步 {0} 毫秒",
    "steps are far slower than planned: {0} from here on": "每步比计划的慢得多：从这里起用 {0}",
    "once more as planned: {0} from here on": "再次按计划：从这里起用 {0}",
    "no better for {0} validations": "连续 {0} 次验证没有更好",
    "the loss is no longer a number; the best network before it is kept": "损失不再是数字；保留此前最好的网络",
    "interrupted": "被中断",
    "deadline": "到了截止时间",
}

_NOTES: Final = {
    "{0} to train, {1} to validate, {2} to test: {3}": "{0} 个用于训练，{1} 个用于验证，{2} 个用于测试：{3}",
    "test and validation parts drawn from all rows, classes in equal shares": (
        "测试集和验证集从全部样本中抽取，各类别比例相同"
    ),
    "test part given by the data; validation drawn from the training part, classes in equal shares": (
        "测试集由数据给出；验证集从训练集中抽取，各类别比例相同"
    ),
    "given by the data": "由数据给出",
    "test and validation parts drawn from all rows, classes in equal shares, whole groups": (
        "测试集和验证集从全部样本中抽取，各类别比例相同，同组的样本不分开"
    ),
    "{0} rows in {1} classes; the two tables give train and test parts ({2} + {3})": (
        "{0} 个样本，{1} 个类别；两个表格分别是训练集和测试集（{2} + {3}）"
    ),
    "{0} rows in {1} classes; the two files give train and test parts ({2} + {3})": (
        "{0} 个样本，{1} 个类别；两个文件分别是训练集和测试集（{2} + {3}）"
    ),
    "{0} rows in {1} classes": "{0} 个样本，{1} 个类别",
    "trying {0} against one": "比较{0}与一个进程",
    "{0} processes": "{0} 个进程",
    "{0} threads": "{0} 个线程",
    "{0} thread": "{0} 个线程",
    "{0} rows": "{0} 个样本",
    "{0} beside it is the test part": "旁边的 {0} 是测试集",
    "{0} recordings of {1} are cut after {2} s: {3} s ({4} of all) are not heard": (
        "{1} 段录音中有 {0} 段在 {2} 秒处截断：共有 {3} 秒（占 {4}）没有听到"
    ),
    "{0} rows are byte for byte the same as another ({1} groups); {2} groups stand in several parts, {3} under several "
    "classes": "{0} 个样本与别的样本逐字节相同（{1} 组）；{2} 组分处几个部分，{3} 组属于几个类别",
    "{0} rows are byte for byte the same as another ({1} group); {2} groups stand in several parts, {3} under several "
    "classes": "{0} 个样本与别的样本逐字节相同（{1} 组）；{2} 组分处几个部分，{3} 组属于几个类别",
    "{0} files of {1} hold recordings, by their names: --kind says otherwise": (
        "从文件名看，{1} 个文件中有 {0} 个是录音：可用 --kind 另作说明"
    ),
    "a row has any number of labels, with {0} between them": "每个样本可以有任意多个标签，以 {0} 分隔",
    "no column names existing files: the rows are texts ({0})": "没有哪一列是现有文件的名字：样本是文本（{0}）",
    "the labels are given by the column {0}; --target names another": "标签取自 {0} 列；可用 --target 另选",
    "the labels are given by the column {0}": "标签取自 {0} 列",
    "the texts stand in the column {0}": "文本取自 {0} 列",
    "{0} of {1} rows are used, drawn by chance within each class: {2}": (
        "使用 {1} 个样本中的 {0} 个，在每个类别内随机抽取：{2}"
    ),
    "{0} of {1} rows are used, drawn by chance: {2}": "使用 {1} 个样本中的 {0} 个，随机抽取：{2}",
    "{0} rows set aside: {1}": "{0} 个样本被搁置：{1}",
    "going on from step {0}": "从第 {0} 步继续",
    "no whole checkpoint: from the beginning": "没有完整的检查点：从头开始",
    "the networks add nothing to the linear part on the validation rows: they count 0": (
        "在验证样本上，网络对线性部分没有帮助：其权重为 0"
    ),
    "the machine has become slow: views {0} instead of {1}": "机器变慢了：视图为{0}，而不是{1}",
    "other views of the validation rows help nothing: views {0} instead of {1}": (
        "其他视图对验证样本没有帮助：视图为{0}，而不是{1}"
    ),
    "time is short: the model remembers {0} training rows instead of {1}": (
        "时间不够：模型只记住 {1} 个训练样本中的 {0} 个"
    ),
    "stopped; judging what there is": "已停止；就现有的进行评估",
    "stopped; judging what there is (Ctrl-C again leaves at once)": "已停止；就现有的进行评估（再按 Ctrl-C 立即退出）",
    "time was short: {0} of {1} training rows were judged": "时间不够：{1} 个训练样本中检查了 {0} 个",
    "time was short: {0} of {1} rows were compared": "时间不够：{1} 个样本中比较了 {0} 个",
    "the search ended at {0} pairs: rows of this data are much alike.": "找到 {0} 对后停止：这份数据中的样本很相似。",
    "the search ended at {0} pairs: rows of this data are much alike. {1}": (
        "找到 {0} 对后停止：这份数据中的样本很相似。{1}"
    ),
    "labels are judged of classes alone": "只检查类别标签",
    "{0} rows to judge by are too few; at least {1} are needed": "可供判断的样本只有 {0} 个，太少；至少需要 {1} 个",
}

_BASELINES: Final = {
    "always {0}, the commonest class in training": "总答 {0}，即训练集中最常见的类别",
    "always {0}, the mean in training": "总答 {0}，即训练集的平均值",
    "the labels that more than half of the training rows have": "超过一半训练样本具有的标签",
    "a logistic regression for each label on {0}": "对每个标签做逻辑回归，依据{0}",
    "logistic regression on {0}": "逻辑回归，依据{0}",
    "ridge regression on {0}": "岭回归，依据{0}",
    "the picture averaged down to {0}": "平均缩小到 {0} 的图片",
    "the weights (TF-IDF) of its words and word pairs": "词和词对的权重（TF-IDF）",
    "the loudness of each band, averaged over twelve parts of the time": "各频带在十二个时段中的平均响度",
    "each channel, averaged over twelve parts of the time": "各通道在十二个时段中的平均值",
}

REASONS: Final[dict[str, str]] = {**_NAMES, **_VALUES, **_NOTES, **_BASELINES, **_REASONS}
