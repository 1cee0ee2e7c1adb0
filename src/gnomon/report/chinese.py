"""The Chinese of every message that the report says: sentences here, headings and labels in `chinese_labels`.

The key is the English message as it stands in the code or in a template; `{0}`, `{1}`, … are the same values in both.
"""

from __future__ import annotations

from typing import Final

from .chinese_labels import LABELS

_VERDICT: Final = {
    "This network has not been judged yet.": "这个网络还没有经过评测。",
    "What happened?": "怎么回事？",
    "The run ended before its evaluation was written; what there is of it stands below.": (
        "运行在写出评测结果之前就结束了；已有的内容见下文。"
    ),
    "Of {0} new {1} like these, it names about {2} right.": "同类的新{1}，每 {0}里它大约能答对 {2}。",
    "Of {0} new {1} like these, it names all right.": "同类的新{1}，每 {0}它全都能答对。",
    "Of {0} new {1} like these, it names none right.": "同类的新{1}，每 {0}里它一个也答不对。",
    "For new {0} like these, its estimate explains {1} of what differs and is off by {2} on the mean.": (
        "对同类的新{0}，它的估计能解释 {1} 的差异，平均偏差为 {2}。"
    ),
    "For new {0} like these, its estimate explains {1} of what differs.": "对同类的新{0}，它的估计能解释 {1} 的差异。",
    "Of the labels that it gives new {0} like these and of those it should give, {1} agree.": (
        "对同类的新{0}，它给出的标签与应有的标签有 {1} 相符。"
    ),
    "How sure is that?": "这个数字有多可靠？",
    "Most likely {0} to {1} of {2} (95 % interval). {3}": (
        "真实水平很可能是每 {2} 个答对 {0}–{1} 个（95% 置信区间）。{3}"
    ),
    "Most likely {0} to {1} (95 % interval). {2}": "真实水平很可能在 {0} 到 {1} 之间（95% 置信区间）。{2}",
    "Measured on {0} of the test part, none of which it was trained on or chosen by.": (
        "用测试集的 {0}测得，训练和选择网络时都没有用过它们。"
    ),
    "Measured on {0} of the test part, some of which have copies in the other parts: see below.": (
        "用测试集的 {0}测得，但其中有些在别的部分里有副本，见下文。"
    ),
    "Measured on {0} of the validation part, by which this network was chosen: expect somewhat less. "
    "The test part has not been judged yet.": (
        "用验证集的 {0}测得，而网络正是靠它选出来的：实际水平会略低一些。测试集还没有评测。"
    ),
    "Better than the simplest answers?": "比最简单的办法强吗？",
    "No baseline was measured, so this number stands alone.": "没有测过基线，这个数字无从比较。",
    "This network loses to a baseline: {0} does better, with {1}. Do not use it as it is.": (
        "这个网络输给了基线：{0}更好，达到 {1}。请不要就这样使用它。"
    ),
    "No better than {0}: both get {1}.": "不比{0}强：两者都是 {1}。",
    "Not clearly better than {0}, which gets {1}: the intervals overlap, so the difference may be chance.": (
        "没有明显强过{0}（{1}）：置信区间有重叠，差别可能只是偶然。"
    ),
    "Clearly better than {0}, which gets {1}: the intervals do not overlap.": "明显强过{0}（{1}）：置信区间没有重叠。",
    "Clearly better than every baseline: {0} gets {1}, {2} {3}; the intervals do not overlap.": (
        "明显强过所有基线：{0}为 {1}，{2}为 {3}；置信区间没有重叠。"
    ),
    "What does it confuse most?": "它最容易混淆什么？",
    "Nothing: it made no mistake.": "没有：它一个错也没犯。",
    "{0} with {1}: of {2} of {0}, it called {3} {1}.": "把 {0} 认成 {1}：{0} 的 {2}中，有 {3} 个被说成 {1}。",
    "Can I rely on it?": "可以信赖它吗？",
    "No: the simpler rule is right more often.": "不可以：更简单的办法对得更多。",
    "Not yet: it is not shown to be better than a simpler rule.": "暂时不行：还没有证明它强过更简单的办法。",
    "Not for every class: some are never told rightly, see below.": "并非每个类别都行：有的类别从未答对，见下文。",
    "For {0} that come from where these came from, within the figures below; look at each before a dear decision.": (
        "可以用于来源相同的{0}，误差以下文的数字为准；事关重大时请逐一核对。"
    ),
    "On {0} that come from where these came from, where {1} wrong of {2} can be borne.": (
        "可以用于来源相同的{0}，只要每 {2} 个里错 {1} 个还能接受。"
    ),
    "On {0} that come from where these came from. Where it is at least {1} sure, which is so for {2} of them, it "
    "is right "
    "in {3}; have a person look at the others.": (
        "可以用于来源相同的{0}。当它的把握不低于 {1} 时（占 {2}），正确率为 {3}；其余的请让人来看。"
    ),
    "this network": "本网络",
    "always answering the commonest class": "总答最常见的类别",
    "always giving the commonest labels": "总给最常见的标签",
    "always answering the mean": "总答平均值",
    "a linear model": "线性模型",
}

_ATTENTION: Final = {
    "Files of this run can’t be read": "这次运行有文件无法读取",
    "What they would tell is left out below.": "它们的内容在下文中缺失。",
    "This run is not complete": "这次运行不完整",
    "It stopped early or is still going. Not there yet:": "它提前停止了，或者仍在进行。还缺少：",
    "The training diverged there; a smaller learning rate helps in most cases.": (
        "训练在那里发散了；多数情况下，调低学习率就能解决。"
    ),
    "The loss was not a number in {0} of the training": "训练中有 {0}的损失不是数字",
    "Training ended after {0} of {1} steps: {2}": "训练在第 {0} 步结束（共计划 {1} 步）：{2}",
    "Training ended after {0} steps: {1}": "训练在第 {0} 步结束：{1}",
    "It loses to a baseline": "它输给了基线",
    "More time or more data may help; until then the baseline is the better.": (
        "更多的时间或数据也许有用；在那之前，还是基线更好。"
    ),
    "It is not shown to be better than the baselines": "还没有证明它强过基线",
    "{0} set aside": "有 {0}被搁置",
    "They were neither trained on nor judged by.": "训练和评测都没有用到它们。",
    "is the same as {0}": "与 {0} 相同",
    "The copies of {0} stand in different parts, so that part of the judgement is on what was learnt.": (
        "有 {0}副本分处不同的部分，因此一部分评测考的是学过的内容。"
    ),
    "In {0} the labels differ, so that one of them must be wrong.": "有 {0}的标签彼此不同，其中必有一个是错的。",
    "{0} {1}": "{0} {1}",
    "{0} in {1} of copies": "{0}属于 {1}重复内容",
    "All copies of one stand in the same part and bear one label.": "同一内容的副本都在同一部分，标签也一致。",
    "Accuracy is ruled by the large ones: look at balanced accuracy and at each class.": (
        "准确率由大类别左右：请看平衡准确率和各个类别。"
    ),
    "{0} in training, the largest": "训练集中 {0} 个，最多",
    "{0} in training": "训练集中 {0} 个",
    "The classes are of very different sizes": "各类别的大小相差悬殊",
    "Only {0} of {1} {2} were used": "{1} 个{2}中只用了 {0} 个",
    "There was no time to decode them all. More of them would most likely help.": (
        "没有时间全部解码。用上更多，结果很可能更好。"
    ),
    "{0} of the judged {1} are unlike the training data": "评测的{1}中有 {0} 与训练数据不像",
    "About 1 % would be usual: they may come from elsewhere.": "通常约为 1%：它们的来源可能不同。",
    "{0} with fewer than {1} {2} to be judged by": "{0}用来评测的{2}不足 {1} 个",
    "What is said of them below is uncertain.": "下文对它们的说法并不可靠。",
    "0 of {0}": "0 / {0}",
    "{0} never told rightly": "{0}从未答对",
    "What Gnomon noted on the way": "Gnomon 途中的记录",
}

_CHARTS: Final = {
    "Loss over the steps of training: {0}.": "训练过程中的损失：{0}。",
    "Loss over the steps of training: {0}; {1}.": "训练过程中的损失：{0}；{1}。",
    "{0} from {1} to {2}": "{0}从 {1} 到 {2}",
    "{0} on the validation part over the steps of training: first {1}, last {2}.": (
        "训练过程中验证集上的{0}：最初 {1}，最后 {2}。"
    ),
    "{0} The best, {1}, was at step {2}.": "{0}最好的是 {1}，在第 {2} 步。",
    "Learning rate over the steps of training; the highest is {0}.": "训练过程中的学习率，最高为 {0}。",
    "How often answers of a confidence are right. On the diagonal confidence and truth agree; the mean distance "
    "is {0}, "
    "before the correction {1}.": ("各种把握下答案的正确率。在对角线上，把握与事实一致；平均相差 {0}，校正前为 {1}。"),
    "How often it is right if it answers only what it is surest of: of all {0}, of the surest half {1}.": (
        "只回答最有把握的部分时的正确率：全部回答为 {0}，最有把握的一半为 {1}。"
    ),
    "Found over falsely called, for each class at every threshold. {0}": "每个类别在各阈值下的检出率与误报率。{0}",
    "Precision over recall, for each class at every threshold. {0}": "每个类别在各阈值下的精确率与召回率。{0}",
    "Areas from {0} ({1}) to {2} ({3}).": "曲线下面积从 {0}（{1}）到 {2}（{3}）。",
    "The areas are not known.": "曲线下面积未知。",
    "Estimated against true values of {0} rows; on the line they agree.": "{0} 个样本的估计值与真实值；在线上即相等。",
    "How many estimates are off by how much; left of the line too low, right of it too high.": (
        "各种偏差的估计各有多少；线左偏低，线右偏高。"
    ),
    "Errors against estimated values; a slope or a funnel says that it errs more for some values.": (
        "误差随估计值的变化；若呈斜坡或喇叭形，说明它在某些值上误差更大。"
    ),
}

_PAGE: Final = {
    "Small figures are 95 % intervals: with other {0} of the same kind, the number would most likely lie there.": (
        "小字是 95% 置信区间：换一批同类的{0}，数字很可能仍落在其中。"
    ),
    "All rows are of one group; how rows of others would fare, no interval tells.": (
        "全部样本同属一个组；其他组的样本会怎样，置信区间无从说明。"
    ),
    "The rows come in {0} groups; the intervals take groups, not rows, as what chance deals in.": (
        "样本分属 {0} 个组；置信区间以组而不是样本为随机单位。"
    ),
    "It was best on the validation part at step {0}, with {1}.": "它在第 {0} 步时于验证集上最好，为 {1}。",
    "The training loss is measured on altered {0} (augmentation), and may lie above the validation loss for that "
    "reason.": ("训练损失是在经过改动（数据增强）的{0}上测的，因此可能高于验证损失。"),
    "Each dot is one of the {0} of the {1}. On the line the estimate is right; above it too high, below it too low.": (
        "每个点是{1}中的一个{0}。点在线上即估计正确，在上方偏高，在下方偏低。"
    ),
    "The worst come first, by F1, on the {0}; a click on a heading sorts by it. Precision: when it says this "
    "{1}, how often "
    "that is right. Recall: of the {2} of this {1}, how many it finds. F1 joins both.": (
        "按{0}上的 F1 从差到好排列，点击表头可重新排序。精确率：它说是某个{1}时有多少说对了；"
        "召回率：属于某个{1}的{2}有多少被找了出来；F1 综合两者。"
    ),
    "Area under ROC: how often one of this {0} is held likelier to be one than another row is.": (
        "ROC 曲线下面积：某个{0}的样本比其他样本得到更高概率的频率。"
    ),
    "Shown are the worst {0} of {1}; all are in {2}.": "这里列出 {1} 个中最差的 {0} 个，全部在 {2} 中。",
    "Shown are {0} of {1}; all are in {2}.": "这里列出 {1} 个中的 {0} 个，全部在 {2} 中。",
    "Shown are the first 400; all are in {0}.": "这里列出前 400 个，全部在 {0} 中。",
    "Reliability: of answers that it calls 80 % sure, 80 % should be right; then confidence means what it says. "
    "Leaving out what it doubts: how often it is right if a person may take the doubtful ones.": (
        "可靠性：在它自称有 80% 把握的答案里，应当有 80% 是对的，这样的把握才名副其实。"
        "略去没有把握的：如果把拿不准的交给人来看，它的正确率有多高。"
    ),
    "Confidence is off by {0} on the mean ({1}).": "把握与事实平均相差 {0}（{1}）。",
    "Before it was corrected by a temperature of {0}, found on the validation part, it was {1}.": (
        "用验证集求得的温度 {0} 校正之前，相差 {1}。"
    ),
    "Of so many rows chance alone makes {0}, even where all confidence means what it says.": (
        "就这么多行而言，即使把握完全名副其实，单凭偶然也会有 {0} 的差距。"
    ),
    "What there is to choose from if a {0} is said only above some probability: the nearer a line runs to the "
    "upper corner, "
    "the better.": "如果只在概率高于某个阈值时才给出某个{0}，可以有哪些取舍：线越靠近上角越好。",
    "Parts of the judged {0}, the worst first. {1} of all: {2}. Marked are those that are worse than the rest "
    "beyond "
    "chance.": "评测所用{0}的各个部分，最差的在前。全体的{1}：{2}。着色的部分明显差于其余部分，不是偶然所致。",
    "Chance: how likely so great a difference is if the part is really no worse, corrected for how many parts "
    "were looked "
    "at.": "偶然概率：假如这部分其实并不更差，出现这么大差别的概率；已按所比较的部分数校正。",
    "Of {0} of {1} it said {2}, and something else {3}.": "{1} 的 {0}中，它的回答是：{2}，其他 {3}。",
    "Of {0} of {1} it said {2}.": "{1} 的 {0}中，它的回答是：{2}。",
    "It made no mistake on the {0}.": "它在{0}上一个错也没犯。",
    "All classes, {0}": "全部类别，{0}",
    "Each row holds the {0} of one class, each column what was said of them.": (
        "每一行是同一类别的{0}，每一列是它给出的回答。"
    ),
    "wrong ones; the stronger, the larger their share of the row.": "错误的回答；颜色越深，占该行的比例越大。",
    "A click on a number shows some of them.": "点击数字可以查看其中的例子。",
    "{0} of {1}, the surest first": "{1} 个中的 {0} 个，最有把握的在前",
    "With {0} the whole matrix is too large to read; it stands in {1}.": "{0}的完整矩阵太大，不便阅读，请见 {1}。",
    "Where the estimate is farthest from the label. Look at the labels too: some of these may be right, and the label "
    "wrong.": "估计与标签相差最大的样本。也请检查标签：有些可能是它对了，标签错了。",
    "Where it was surest and wrong. Look at the labels too: some of these may be right, and the label wrong.": (
        "它最有把握却答错的样本。也请检查标签：有些可能是它对了，标签错了。"
    ),
    "There were none on the {0}.": "{0}上没有。",
    "{0} of {1} rows have a label that a network which never learnt from them disagrees with. Look at them first "
    "when you "
    "mend the data.": "{1} 个样本中，有 {0} 个的标签与从未学过它们的模型意见不一。修正数据时请先看这些。",
    "Of all labels, about {0} may be wrong.": "估计全部标签中约有 {0} 是错的。",
    "None were found.": "没有发现。",
    "{0} pairs of {1} are nearly the same: {2} of them stand in different parts, {3} under different labels.": (
        "有 {0} 对{1}几乎相同：其中 {2} 对分处不同的部分，{3} 对标签不同。"
    ),
    "Orange speaks for the answer, blue against it. A network that looks at the background has learnt the wrong "
    "thing.": ("橙色支持这个回答，蓝色反对它。如果网络看的是背景，它学到的就不是该学的东西。"),
    "Nothing: no {0} was set aside, no copies were found, and no class stands out.": (
        "没有：没有{0}被搁置，没有发现重复，也没有哪个类别异常。"
    ),
    "The same data, recipe, seed, number of threads and kind of machine, with the versions above, give the same "
    "network bit "
    "for bit where the number of steps is given. A deadline fixes it by the clock, which never runs twice alike: "
    "for runs "
    "that repeat exactly, give {0} in its place. Which row stood in which part is in {1}.": (
        "给定步数时，同样的数据、配方、种子、线程数和机器类型，加上上述版本，会得到逐位相同的网络。"
        "截止时间由时钟决定步数，而时钟每次都不一样：要精确重复，请改用 {0}。每个样本属于哪一部分，记录在 {1} 中。"
    ),
    "It answers for anything it is shown, also for what is like nothing it was trained on.": (
        "无论给它看什么，它都会回答，哪怕与训练数据毫无相似之处。"
    ),
    "It answers one of its classes for anything it is shown, also for what belongs to none of them.": (
        "无论给它看什么，它都会答出一个类别，哪怕那东西不属于任何一类。"
    ),
    "Its figures hold for {0} that come from where these came from.": "以上数字只适用于来源相同的{0}。",
    "{0}: {1} for training, {2} for validation, {3} for the test.": "{0}：{1}用于训练，{2}用于验证，{3}用于测试。",
    "The whole report is {0}; the recipe to make it again is {1}.": "完整的报告是 {0}；用来重做的配方是 {1}。",
    "Not there yet: {0}. It will be read from {1}.": "还没有：{0}。将从 {1} 读取。",
    "Nothing to show of {0}: {1} has none, or can’t be read.": "没有可显示的{0}：{1} 中没有，或无法读取。",
    "To name new {0}, type in this run’s folder:": "要识别新的{0}，请在本次运行的文件夹里输入：",
    "Made by Gnomon {0} from the files of the run {1}. This page asks nothing of any network.": (
        "由 Gnomon {0} 根据运行 {1} 的文件生成。本页不访问任何网络。"
    ),
}

CHINESE: Final[dict[str, str]] = {**_VERDICT, **_ATTENTION, **_CHARTS, **_PAGE, **LABELS}
